// The latest events, live; choosing one opens what each hook made of it, in words.
import { byId, element, liveList, setText } from "./dom.js";
import { deliveryState, eventName, eventTone, moment, times, verdictWords } from "./words.js";

const SHOWN = 20;

export function createEvents(api, { failed }) {
  const open = new Map(); // event id → reads its trace anew
  byId("events").replaceChildren();
  const list = liveList(byId("events"), ({ id }) => id, (event) => eventRow(event, toggle));

  async function refresh() {
    const { data } = await api("GET", `/events?limit=${SHOWN}`);
    list(data);
    const shown = new Set(data.map(({ id }) => id));
    for (const id of open.keys()) if (!shown.has(id)) open.delete(id);
    setText(byId("events-about"), data.length ? "Choose one to read what it triggered." : "Nothing has happened yet.");
  }

  /** Deliveries move on while one reads: what is open is read anew. */
  const refreshOpen = () => Promise.all([...open.values()].map((read) => read()));

  async function toggle(id, button, trace) {
    const opening = trace.hidden;
    trace.hidden = !opening;
    button.setAttribute("aria-expanded", String(opening));
    if (!opening) return open.delete(id);
    const read = async () => showTrace(trace, await api("GET", `/events/${encodeURIComponent(id)}`));
    open.set(id, read);
    return read().catch(failed);
  }

  return { refresh, refreshOpen };
}

function eventRow(event, toggle) {
  const { id, type, subject, time, data } = event;
  const trace = element("div", { class: "trace", id: `trace-${id}`, hidden: true });
  const when = moment(time);
  const button = element(
    "button",
    {
      type: "button", class: "event", "aria-expanded": "false", "aria-controls": trace.id,
      click: ({ currentTarget }) => toggle(id, currentTarget, trace),
    },
    element("span", { class: `dot ${eventTone(type)}`, "aria-hidden": "true" }),
    element("span", { class: "what" }, eventName(type) + (data?.machine === true ? " by a machine" : "")),
    element("span", { class: "who" }, subject ?? ""),
    element("time", { datetime: time, title: when.full }, when.short),
  );
  return { node: element("li", {}, button, trace), update: () => {} };
}

function showTrace(region, event) {
  const shown = JSON.stringify(event);
  if (region.dataset.shown === shown) return;
  region.dataset.shown = shown;
  const details = region.querySelector("details")?.open ?? false;
  const verdicts = event.trace.map((one) => element("li", {}, ...verdictLines(one)));
  region.replaceChildren(
    verdicts.length ? element("ul", {}, ...verdicts) : element("p", {}, "No hook asked for this event."),
    element(
      "details",
      { open: details },
      element("summary", {}, "What came with it"),
      element("pre", {}, JSON.stringify(event.data ?? null, null, 2)),
    ),
  );
}

function verdictLines(one) {
  const lines = [element("strong", {}, one.name || one.hook), ` ${verdictWords(one.verdict)}`];
  if (one.detail) lines.push(` (${one.detail})`);
  if (one.delivery) {
    const [words] = deliveryState(one);
    lines.push(`; ${words}${one.attempts ? `, tried ${times(one.attempts)}` : ""}`);
  }
  if (one.next_attempt) lines.push(`; next try ${moment(one.next_attempt).short}`);
  return [...lines, "."];
}
