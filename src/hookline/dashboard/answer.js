// What came of a test, or of a wish that was refused.
import { element } from "./dom.js";
import { errorWords } from "./words.js";

/** A test's outcome, as the API gives it, in words: the status, the time, and what the receiver wrote back. */
export function outcomePanel(outcome) {
  const good = outcome.ok;
  const took = outcome.response?.total_ms;
  const head = [
    outcome.status ? `status ${outcome.status}` : "no answer",
    took === undefined || took === null ? null : `${Math.max(1, Math.round(took))}\u00a0ms`,
  ].filter(Boolean);
  const body = outcome.response?.body;
  return element(
    "div",
    { class: `answer ${good ? "good" : "bad"}` },
    element("p", { class: "verdict" }, `The receiver ${good ? "took it" : "did not take it"}: ${head.join(", ")}.`),
    good ? null : element("p", {}, errorWords(outcome.error) ?? ""),
    !good && outcome.detail ? element("p", { class: "detail" }, outcome.detail) : null,
    body ? element("pre", { tabindex: "0", "aria-label": "The receiver's answer" }, body) : null,
    good && !body ? element("p", { class: "detail" }, "It wrote nothing back, which is fine.") : null,
  );
}

export function refusalPanel(error) {
  return element("div", { class: "answer bad" }, element("p", {}, error.message));
}
