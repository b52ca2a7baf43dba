// The list of webhooks: what each listens for, how its last deliveries went, and what can be done with it.
import { outcomePanel, refusalPanel } from "./answer.js";
import { Refused } from "./api.js";
import { busy, byId, element, liveList, setText } from "./dom.js";
import { deliveryState, errorWords, moment, patternName, tries } from "./words.js";

const SHOWN = 20;
const DELIVERIES = 5;

/**
 * `refresh()` reads and shows them, `nameOf(id)` is what to call one;
 * `failed(error)` handles what is no answer to a button.
 */
export function createHooks(api, { failed }) {
  const list = liveList(byId("hooks"), ({ hook }) => hook.id, (row) => hookRow(row, act));
  byId("hooks").replaceChildren();
  let names = new Map();

  async function refresh() {
    const all = (await api("GET", "/hooks?limit=250")).data;
    names = new Map(all.map((hook) => [hook.id, hook.name || hook.do.url || `A hook (${hook.do.kind})`]));
    const webhooks = all.filter((hook) => hook.do.kind === "webhook");
    const rows = webhooks.slice(0, SHOWN).map(async (hook) => {
      const page = await api("GET", `/deliveries?hook=${encodeURIComponent(hook.id)}&limit=${DELIVERIES}`);
      return { hook, deliveries: page.data };
    });
    list(await Promise.all(rows));
    setText(byId("hooks-about"), summary(webhooks.length, all.length - webhooks.length));
  }

  /** Do what a row's button says; what Hookline refuses is said in the row. */
  async function act(row, name) {
    const { hook } = row;
    const path = `/hooks/${encodeURIComponent(hook.id)}`;
    row.say(null);
    try {
      if (name === "test") {
        row.say(outcomePanel(await api("POST", `${path}/test`, {})));
      } else if (name === "switch") {
        await api("PATCH", path, { enabled: !hook.enabled });
      } else {
        if (!(await confirmed(hook))) return;
        await api("DELETE", path);
      }
      await refresh();
    } catch (error) {
      if (error instanceof Refused && error.status !== 401) row.say(refusalPanel(error));
      else failed(error);
    }
  }

  return { refresh, nameOf: (id) => names.get(id) ?? id };
}

function summary(webhooks, others) {
  const none = "None yet. Fill in the form above to add the first.";
  const more = webhooks > SHOWN ? `The newest ${SHOWN} of ${webhooks}. ` : "";
  const rest = others === 1 ? "One other hook" : `${others} other hooks`;
  const beside = others ? `${rest} (mail, Slack, SMS, contacts) ${others === 1 ? "is" : "are"} at work beside them.` : "";
  return `${webhooks ? more : `${none} `}${beside}`.trim();
}

function hookRow(first, act) {
  const title = element("h3");
  const badge = element("span");
  const url = element("p", { class: "url" });
  const words = element("p", { class: "muted" });
  const reason = element("p", { class: "muted" });
  const deliveries = element("ul", { class: "deliveries" });
  const answer = element("div", { role: "status" });
  const row = { hook: first.hook, say: (panel) => answer.replaceChildren(...(panel ? [panel] : [])) };
  const button = (name, text, kind) => {
    const click = ({ currentTarget }) => busy(currentTarget, () => act(row, name));
    return element("button", { type: "button", class: kind, click }, text);
  };
  const test = button("test", "Send test", null);
  const power = button("switch", "", null);
  const remove = button("delete", "Delete", "danger");
  const node = element(
    "li",
    { class: "hook" },
    element("div", { class: "hook-head" }, title, badge),
    url, words, reason, deliveries,
    element("div", { class: "actions" }, test, power, remove),
    answer,
  );

  const update = ({ hook, deliveries: last }) => {
    row.hook = hook;
    const on = hook.enabled;
    setText(title, hook.name || hook.do.url);
    title.classList.toggle("url", !hook.name);
    setText(url, hook.name ? hook.do.url : "");
    url.hidden = !hook.name;
    setText(badge, on ? "On" : "Off");
    badge.className = `badge ${on ? "good" : "warn"}`;
    setText(words, `Listens for: ${hook.on.map(patternName).join(", ")}`);
    setText(reason, hook.disabled_reason ? `It is off: ${hook.disabled_reason}.` : "");
    setText(power, on ? "Switch off" : "Switch on");
    for (const [control, verb] of [[test, "Send test to"], [power, on ? "Switch off" : "Switch on"], [remove, "Delete"]]) {
      control.setAttribute("aria-label", `${verb} ${hook.name || hook.do.url}`);
    }
    showDeliveries(deliveries, last);
  };
  return { node, update };
}

function showDeliveries(list, deliveries) {
  const shown = JSON.stringify(deliveries);
  if (list.dataset.shown === shown) return;
  list.dataset.shown = shown;
  const nothing = () => element("li", { class: "muted" }, "Nothing delivered yet.");
  list.replaceChildren(...(deliveries.length ? deliveries.map(deliveryLine) : [nothing()]));
}

function deliveryLine(delivery) {
  const [words, tone] = deliveryState(delivery.state, delivery.attempt_count);
  const when = moment(delivery.updated_at);
  const time = element("time", { datetime: delivery.updated_at, title: when.full }, when.short);
  const error = delivery.error ? ` · ${errorWords(delivery.error)}` : "";
  return element(
    "li",
    {},
    element("span", { class: `dot ${tone}`, "aria-hidden": "true" }),
    element("p", {}, words, element("span", { class: "muted" }, ` · ${tries(delivery.attempt_count)} · `, time, error)),
  );
}

/** Asks before deleting; true for yes. */
function confirmed(hook) {
  const dialog = byId("confirm");
  const name = hook.name ? `${hook.name}, ${hook.do.url}` : hook.do.url;
  setText(byId("confirm-text"), `${name}. Deliveries that still wait will not be made.`);
  byId("confirm-yes").onclick = () => dialog.close("yes");
  byId("confirm-no").onclick = () => dialog.close("no");
  dialog.returnValue = "no";
  dialog.showModal();
  byId("confirm-no").focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
