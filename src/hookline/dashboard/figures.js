// The campaign's figures: three rates with their denominators, eleven counts with their meanings.
import { byId, element, setText } from "./dom.js";
import { count, moment, percent } from "./words.js";

const RATES = [
  { name: "Opening rate", rate: "open_rate", part: "opened", whole: "delivered", tone: "good" },
  { name: "Click rate", rate: "click_rate", part: "clicked", whole: "delivered", tone: "good" },
  { name: "Bounce rate", rate: "bounce_rate", part: "bounced", whole: "attempted", tone: "bad" },
];
const COUNTS = [
  { name: "Attempted", field: "attempted", meaning: "mails that we tried to send", tone: "plain" },
  { name: "Sent", field: "sent", meaning: "taken by the mail server", tone: "plain" },
  { name: "Delivered", field: "delivered", meaning: "neither bounced nor delayed", tone: "plain" },
  { name: "Opened", field: "opened", meaning: "by people", tone: "good" },
  { name: "Clicked", field: "clicked", meaning: "a link, by people", tone: "good" },
  { name: "Opened by machines", field: "opened_machine", meaning: "mail programs and scanners", tone: "dim" },
  { name: "Bounced", field: "bounced", meaning: "the address takes no mail", tone: "bad" },
  { name: "Blocked", field: "blocked", meaning: "on the stop list, not tried", tone: "warn" },
  { name: "Failed", field: "failed", meaning: "no server had the mail", tone: "bad" },
  { name: "Spam", field: "complained", meaning: "marked as spam", tone: "bad" },
  { name: "Unsubscribed", field: "unsubscribed", meaning: "want no more", tone: "warn" },
];
const STATES = {
  draft: ["Draft", "plain"],
  scheduled: ["Scheduled", "plain"],
  sending: ["Being sent", "warn"],
  paused: ["Paused", "warn"],
  sent: ["Sent", "good"],
  cancelled: ["Cancelled", "warn"],
};
const SPEAK_EVERY = 10_000; // a screen reader is told the rates, not each of their steps

export function createFigures() {
  const rates = RATES.map(rateCard);
  const counts = COUNTS.map(countRow);
  byId("rates").replaceChildren(...rates.map(({ node }) => node));
  byId("counts").replaceChildren(...counts.map(({ node }) => node));
  let spokenAt = 0;

  function show(stats) {
    for (const { update } of [...rates, ...counts]) update(stats);
    if (Date.now() - spokenAt < SPEAK_EVERY) return;
    spokenAt = Date.now();
    setText(byId("figures-spoken"), RATES.map(({ name, rate }) => `${name} ${percent(stats[rate])}`).join(", "));
  }

  function about(campaign) {
    const [words, tone] = STATES[campaign.state] ?? [campaign.state, "plain"];
    const badge = byId("campaign-state");
    setText(badge, words);
    badge.className = `badge ${tone}`;
    const started = campaign.started_at ? ` · started ${moment(campaign.started_at).short}` : "";
    setText(byId("campaign-about"), `“${campaign.subject}”${started}`);
  }

  return { show, about };
}

function rateCard({ name, rate, part, whole, tone }) {
  const value = element("p", { class: "value" }, "–");
  const words = element("p", { class: "of" }, "nothing yet");
  const fill = element("span", { class: `fill ${tone}` });
  const node = element(
    "div",
    { class: "rate", "data-rate": rate },
    element("h2", {}, name),
    value,
    element("span", { class: "bar", "aria-hidden": "true" }, fill),
    words,
  );
  const update = (stats) => {
    setText(value, percent(stats[rate]));
    setText(words, `${count(stats[part])} of ${count(stats[whole])} ${whole}`);
    fill.style.setProperty("--share", stats[rate] ?? 0);
  };
  return { node, update };
}

function countRow({ name, field, meaning, tone }) {
  const fill = element("span", { class: `fill ${tone}` });
  const value = element("span", { class: "number" }, "0");
  const node = element(
    "div",
    { "data-count": field },
    element("dt", {}, name, element("span", { class: "meaning" }, meaning)),
    element("dd", {}, element("span", { class: "bar", "aria-hidden": "true" }, fill), value),
  );
  const update = (stats) => {
    const whole = Math.max(1, ...COUNTS.map((other) => stats[other.field]));
    setText(value, count(stats[field]));
    fill.style.setProperty("--share", stats[field] / whole);
  };
  return { node, update };
}
