// The form that adds a webhook, and tries one that is not saved yet.
import { outcomePanel, refusalPanel } from "./answer.js";
import { Refused } from "./api.js";
import { busy, byId, element, setText } from "./dom.js";
import { SEVEN } from "./words.js";

// A field of the form for each part of a hook that it writes; what else may be wrong is said below them.
const FIELDS = [
  { pointer: /^#(\/hook)?\/do\/url$/, control: "hook-url" },
  { pointer: /^#(\/hook)?\/name$/, control: "hook-name" },
  { pointer: /^#(\/hook)?\/on(\/|$)/, control: "hook-on" },
];

/** `added(hook)` is called when one was saved; `failed(error)` handles what is no fault of the form. */
export function createForm(api, { added, failed }) {
  const boxes = SEVEN.map(tick);
  byId("ticks").replaceChildren(...boxes.map(({ node }) => node));
  byId("example").replaceChildren(...SEVEN.map(({ type, name }) => element("option", { value: type }, name)));
  const ticked = () => boxes.filter(({ box }) => box.checked).map(({ type }) => type);
  const tickAll = (checked) => boxes.forEach(({ box }) => (box.checked = checked));
  const answer = byId("form-answer");

  const hook = (on) => {
    const written = { on, do: { kind: "webhook", url: byId("hook-url").value.trim() } };
    const name = byId("hook-name").value.trim();
    return name ? { ...written, name } : written;
  };

  async function attempt(work) {
    clearErrors();
    answer.replaceChildren();
    try {
      await work();
    } catch (error) {
      answer.replaceChildren();
      if (!(error instanceof Refused) || error.status === 401) failed(error);
      else showErrors(error);
    }
  }

  const sendTest = () =>
    attempt(async () => {
      answer.replaceChildren(element("p", { class: "muted" }, "Sending…"));
      const outcome = await api("POST", "/hooks/test", { hook: hook([byId("example").value]) });
      answer.replaceChildren(outcomePanel(outcome));
    });

  const add = () =>
    attempt(async () => {
      const saved = await api("POST", "/hooks", hook(ticked()));
      byId("hook-form").reset();
      showSecret(saved.secret);
      await added(saved);
    });

  listen(byId("all"), "click", () => tickAll(true));
  listen(byId("none"), "click", () => tickAll(false));
  listen(byId("ticks"), "change", ({ target }) => target.checked && (byId("example").value = target.value));
  listen(byId("send-test"), "click", (event) => busy(event.currentTarget, sendTest));
  listen(byId("hook-form"), "submit", (event) => {
    event.preventDefault();
    busy(event.submitter ?? byId("hook-form"), add);
  });
}

const listen = (node, name, listener) => (node[`on${name}`] = listener); // replaces that of an earlier session

function tick({ type, name, meaning }) {
  const id = `on-${type.replace(".", "-")}`;
  const described = { "aria-labelledby": id, "aria-describedby": `${id}-meaning` };
  const box = element("input", { type: "checkbox", value: type, ...described });
  const label = element("span", { id }, name);
  const line = element("span", { class: "meaning", id: `${id}-meaning` }, meaning);
  return { type, box, node: element("li", {}, element("label", {}, box, label, line)) };
}

function clearErrors() {
  for (const { control } of FIELDS) {
    setText(byId(`${control}-error`), "");
    byId(control).removeAttribute("aria-invalid");
  }
  setText(byId("hook-error"), "");
}

/** Each fault next to the field it names; the first such field gets the focus. */
function showErrors(error) {
  const elsewhere = [];
  let first = null;
  for (const fault of error.faults) {
    const field = FIELDS.find(({ pointer }) => pointer.test(fault.pointer ?? ""));
    if (!field) {
      elsewhere.push(fault.detail);
      continue;
    }
    const control = byId(field.control);
    setText(byId(`${field.control}-error`), sentence(fault.detail));
    control.setAttribute("aria-invalid", "true");
    first ??= control.matches("fieldset") ? control.querySelector("input") : control;
  }
  if (elsewhere.length || !error.faults.length) {
    setText(byId("hook-error"), sentence(elsewhere.length ? elsewhere.join("; ") : error.message));
  }
  first?.focus();
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

/** The new webhook's secret: it stays until it is put away, whatever is tested or refused meanwhile. */
function showSecret(secret) {
  const place = byId("form-secret");
  const field = element("input", { type: "text", readonly: true, id: "secret", class: "secret", spellcheck: "false" });
  field.value = secret;
  const copied = element("p", { class: "detail", role: "status" });
  const copy = async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(secret);
      setText(copied, "Copied.");
    } catch {
      setText(copied, "Selected: press Ctrl+C."); // without HTTPS or loopback there is no clipboard
    }
  };
  place.replaceChildren(
    element(
      "div",
      { class: "answer good" },
      element("p", { class: "verdict" }, "The webhook is on."),
      element("label", { for: "secret" }, "Signing secret, shown here once"),
      element(
        "div",
        { class: "secret-row" },
        field,
        element("button", { type: "button", click: copy }, "Copy"),
        element("button", { type: "button", class: "quiet", click: () => place.replaceChildren() }, "Done"),
      ),
      copied,
      element("p", { class: "detail" }, "With it your receiver can check that a call comes from Hookline, unchanged."),
    ),
  );
}
