// The API's words as people say them.

/** The seven that an emailing user knows, in the order in which they happen. */
export const SEVEN = [
  { type: "email.sent", name: "Sent", meaning: "The mail went out." },
  { type: "email.opened", name: "Opened", meaning: "Somebody looked at it." },
  { type: "email.clicked", name: "Clicked", meaning: "Somebody followed a link in it." },
  { type: "email.bounced", name: "Bounce", meaning: "The address does not take mail." },
  { type: "email.blocked", name: "Blocked", meaning: "It was not sent: the address is on the stop list." },
  { type: "email.complained", name: "Spam", meaning: "Somebody marked it as spam." },
  { type: "email.unsubscribed", name: "Unsubscribed", meaning: "Somebody wants no more of these." },
];

const EVENTS = {
  ...Object.fromEntries(SEVEN.map(({ type, name }) => [type, name])),
  "email.delivered": "Delivered",
  "email.deferred": "Delayed",
  "email.bounced": "Bounced",
  "email.blocked": "Blocked",
  "email.complained": "Marked as spam",
  "contact.created": "New contact",
  "contact.updated": "Contact changed",
  "contact.refused": "Change refused",
  "contact.subscribed": "Subscribed",
  "contact.unsubscribed": "Left a list",
  "campaign.started": "Campaign started",
  "campaign.finished": "Campaign finished",
  "hook.disabled": "Hook switched off",
  "hook.enabled": "Hook switched on",
  "delivery.failed": "Delivery failed",
};

const TONES = {
  "email.opened": "good", "email.clicked": "good", "email.delivered": "good",
  "email.bounced": "bad", "email.complained": "bad", "delivery.failed": "bad", "hook.disabled": "bad",
  "email.blocked": "warn", "email.unsubscribed": "warn", "email.deferred": "warn", "contact.refused": "warn",
};

export const eventName = (type) => EVENTS[type] ?? type;
export const eventTone = (type) => TONES[type] ?? "plain";

/** What a hook's `on` asks for, in words. */
export function patternName(pattern) {
  if (pattern === "*") return "everything";
  if (pattern === "email.*") return "all email events";
  return SEVEN.find(({ type }) => type === pattern)?.name.toLowerCase() ?? eventName(pattern);
}

const STATES = {
  waiting: ["waiting for its time", "plain"],
  queued: ["queued", "plain"],
  sending: ["under way", "plain"],
  succeeded: ["delivered", "good"],
  failed: ["failed", "bad"],
  cancelled: ["cancelled", "warn"],
  held: ["held back", "warn"],
};

/** A delivery's state as `[words, tone]`; one that is queued after a try is waiting to try again. */
export function deliveryState(state, attempts) {
  if (state === "queued" && attempts > 0) return ["will be tried again", "warn"];
  return STATES[state] ?? [state, "plain"];
}

const VERDICTS = {
  condition: "its condition does not hold",
  limit: "its limit is reached",
  disabled: "it is switched off",
  loop: "that would go round in circles",
};

/** Why a hook did not act on an event. */
export const refusalWords = ({ verdict, detail }) => detail || (VERDICTS[verdict] ?? verdict);

const ERRORS = {
  timeout_connect: "The receiver did not pick up in time.",
  timeout_read: "The receiver picked up and did not answer in time.",
  timeout_total: "The answer took too long.",
  dns: "There is no such host.",
  refused: "Nobody listens at that address.",
  reset: "The receiver hung up.",
  tls: "The secure connection could not be made.",
  blocked_address: "Hookline may not call that address, because it is not public.",
  redirect: "The receiver pointed elsewhere; Hookline does not follow.",
  http_status: "The receiver said no.",
  gone: "The receiver said that it is gone for good.",
  rate_limited: "The receiver asked for fewer calls.",
  protocol: "The answer was not proper HTTP.",
  template: "The text could not be made from its template.",
  cancelled: "It was called off.",
  crashed: "Hookline stopped in the middle of it.",
};

/** An attempt's error as a sentence, or null where the closed list has a word that needs none. */
export const errorWords = (error) => (error ? (ERRORS[error] ?? error.replaceAll("_", " ")) : null);

const NUMBER = new Intl.NumberFormat("en-GB");
const PERCENT = new Intl.NumberFormat("en-GB", { style: "percent", maximumFractionDigits: 1 });
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });

export const count = (value) => NUMBER.format(value);
export const percent = (fraction) => (fraction === null ? "–" : PERCENT.format(fraction));
export const tries = (value) => (value === 1 ? "1 attempt" : value ? `${count(value)} attempts` : "not tried yet");

/** A moment for people: the time of day, with the date when it is not today. */
export function moment(text) {
  const when = new Date(text);
  if (Number.isNaN(when.getTime())) return { short: text, full: text };
  const today = when.toDateString() === new Date().toDateString();
  return { short: today ? CLOCK.format(when) : `${DAY.format(when)}, ${CLOCK.format(when)}`, full: FULL.format(when) };
}
