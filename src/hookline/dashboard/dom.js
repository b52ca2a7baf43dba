// Elements made from data. Text stays text: nothing here, or on this page, ever parses markup.

export const byId = (id) => document.getElementById(id);

/** An element with attributes (null and false are left out, functions are listeners) and children. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) {
      made.setAttribute(name, value === true ? "" : value);
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Write a text only where it changed, so that selections and screen readers are left in peace. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Makes `parent` follow a list. `make(item)` gives `{node, update}`; a row keeps its node, and so its focus
 * and whatever is open in it, for as long as its key is in the list.
 */
export function liveList(parent, keyOf, make) {
  const rows = new Map();
  return (items) => {
    const wanted = new Set(items.map(keyOf));
    for (const [key, row] of rows) {
      if (!wanted.has(key)) {
        row.node.remove();
        rows.delete(key);
      }
    }
    items.forEach((item, place) => {
      const key = keyOf(item);
      if (!rows.has(key)) rows.set(key, make(item));
      const row = rows.get(key);
      if (parent.children[place] !== row.node) parent.insertBefore(row.node, parent.children[place] ?? null);
      row.update(item);
    });
  };
}

/** One thing at a time for a button. It is not `disabled` meanwhile, which would take its focus away. */
export async function busy(button, work) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    await work();
  } finally {
    button.removeAttribute("aria-disabled");
  }
}
