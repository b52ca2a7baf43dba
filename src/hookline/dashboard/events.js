// The latest events, live; choosing one opens what each hook made of it, in words.
import { byId, element, liveList, setText } from "./dom.js";
import { deliveryState, errorWords, eventName, eventTone, moment, refusalWords, tries } from "./words.js";

const SHOWN = 20;
const DATA_SHOWN = 16_384; // characters

export function createEvents(api, { failed, nameOf }) {
  const open = new Map(); // event id → reads its trace anew
  byId("events").replaceChildren();
  const list = liveList(byId("events"), ({ id }) => id, (event) => eventRow(event, toggle));

  let newest = null;

  async function refresh() {
    const [last] = (await api("GET", "/events?limit=1")).data;
    if (last && last.id === newest) return;
    const { data } = await api("GET", `/events?limit=${SHOWN}`);
    newest = data[0]?.id;
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
    const read = async () => showTrace(trace, await api("GET", `/events/${encodeURIComponent(id)}`), nameOf);
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
    element("span", { class: "what" }, eventName(type) + (data?.machine === true ? " (machine)" : "")),
    element("span", { class: "who" }, subject ?? ""),
    element("time", { datetime: time, title: when.full }, when.short),
  );
  return { node: element("li", {}, button, trace), update: () => {} };
}

function showTrace(region, event, nameOf) {
  const shown = JSON.stringify(event);
  if (region.dataset.shown === shown) return;
  region.dataset.shown = shown;
  const details = region.querySelector("details")?.open ?? false;
  const data = JSON.stringify(event.data ?? null, null, 2);
  region.replaceChildren(
    event.trace.length
      ? element("ul", {}, ...event.trace.map((one) => verdictLine(one, nameOf)))
      : element("p", {}, "No hook asked for this event."),
    element(
      "details",
      { open: details },
      element("summary", {}, "What came with it"),
      element("pre", {}, data.length > DATA_SHOWN ? `${data.slice(0, DATA_SHOWN)}…` : data),
    ),
  );
}

/** What one hook made of the event, and how its delivery stands, as a sentence. */
function verdictLine(one, nameOf) {
  const hook = element("strong", {}, one.hook_name === null ? "A hook that was deleted since" : nameOf(one.hook));
  if (one.verdict !== "matched") return element("li", {}, hook, ` did not act: ${refusalWords(one)}.`);
  if (!one.delivery) return element("li", {}, hook, " acted on it.");
  const [words, tone] = deliveryState(one.state, one.attempts);
  const next = one.next_attempt_at && one.attempts ? `, next try ${moment(one.next_attempt_at).short}` : "";
  const error = one.error ? ` ${errorWords(one.error)}` : "";
  const state = element("span", { class: `word ${tone}` }, words);
  return element("li", {}, hook, " acted on it: ", state, ` (${tries(one.attempts)}${next}).${error}`);
}
