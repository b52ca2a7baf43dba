// Signs in, then keeps the page in step with /v1 for as long as it can be seen.
import { Refused, createApi, looksLikeKey } from "./api.js";
import { byId, element, setText } from "./dom.js";
import { createEvents } from "./events.js";
import { createFigures } from "./figures.js";
import { createForm } from "./form.js";
import { createHooks } from "./hooks.js";

const PACE = 1000;
const PACE_LOST = 3000;
const SLOW = 3; // campaigns, hooks, deliveries and open traces are read every third time
const STORE = "hookline-key";
const UNKNOWN_KEY = "That key was not accepted: it is unknown or was revoked.";

let current = null; // the session that the page shows

const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

function visible() {
  if (!document.hidden) return Promise.resolve();
  pulse("Paused", "");
  return new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true })).then(visible);
}

function pulse(words, kind) {
  setText(byId("pulse-text"), words);
  byId("pulse").className = `pulse ${kind}`;
}

/** The key in the address's fragment, which is taken out of the address at once. */
function keyFromAddress() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key !== null) history.replaceState(null, "", location.pathname + location.search);
  return key;
}

async function signIn(key) {
  leave("");
  if (!looksLikeKey(key)) return leave("That is no API key: one begins with hl_.");
  const api = createApi(key);
  try {
    const campaigns = await api("GET", "/campaigns?limit=50");
    if (current) current.open = false; // somebody pressed twice
    sessionStorage.setItem(STORE, key);
    current = createSession(api, campaigns.data);
  } catch (error) {
    return leave(error.status === 401 ? UNKNOWN_KEY : error.message);
  }
  byId("sign-in").hidden = true;
  byId("page").hidden = byId("session").hidden = false;
  byId("key").value = "";
  return run(current);
}

/** Back to the sign-in field, with a sentence that says why. */
function leave(why) {
  if (current) current.open = false;
  current = null;
  sessionStorage.removeItem(STORE);
  byId("page").hidden = byId("session").hidden = true;
  byId("sign-in").hidden = false;
  setText(byId("key-error"), why);
  byId("key").setAttribute("aria-invalid", String(Boolean(why)));
  byId("key").focus();
}

function createSession(api, campaigns) {
  const session = { open: true };
  session.failed = (error) => {
    if (!session.open) return undefined;
    if (error.status === 401) return leave(UNKNOWN_KEY);
    if (!(error instanceof Refused)) console.error(error);
    return pulse(error.status === 0 ? "Not reachable, trying again" : `Trying again: ${error.message}`, "lost");
  };
  const { failed } = session;
  const figures = createFigures();
  const picker = createPicker(figures, () => session.refresh(true).catch(failed));
  const hooks = createHooks(api, { failed });
  const events = createEvents(api, { failed, nameOf: hooks.nameOf });
  createForm(api, { added: hooks.refresh, failed });
  picker.offer(campaigns);

  session.refresh = async (slow) => {
    if (slow) picker.offer((await api("GET", "/campaigns?limit=50")).data);
    const chosen = picker.chosen();
    await Promise.all([
      chosen && api("GET", `/campaigns/${encodeURIComponent(chosen)}/stats`).then((stats) => {
        if (picker.chosen() === chosen) figures.show(stats);
      }),
      events.refresh(),
      slow && hooks.refresh(),
      slow && events.refreshOpen(),
    ]);
  };

  return session;
}

/** The choice of a campaign: the newest, until somebody chooses. */
function createPicker(figures, changed) {
  const select = byId("campaign");
  let touched = false;
  let known = [];
  select.onchange = () => {
    touched = true;
    changed();
  };

  function offer(campaigns) {
    const ids = campaigns.map(({ id, name }) => id + name).join();
    if (ids !== known.map(({ id, name }) => id + name).join()) {
      const before = select.value;
      select.replaceChildren(...campaigns.map(({ id, name }) => element("option", { value: id }, name)));
      if (touched && campaigns.some(({ id }) => id === before)) select.value = before;
    }
    known = campaigns;
    select.disabled = !campaigns.length;
    const chosen = campaigns.find(({ id }) => id === select.value);
    if (chosen) figures.about(chosen);
    else setText(byId("campaign-about"), "There is no campaign yet; its figures will show here.");
  }

  return { offer, chosen: () => select.value };
}

async function run(session) {
  for (let turn = 0; session.open; turn += 1) {
    await visible();
    let pace = PACE;
    try {
      await session.refresh(turn % SLOW === 0);
      if (session.open) pulse("Live", "live");
    } catch (error) {
      session.failed(error);
      pace = PACE_LOST;
    }
    await pause(pace);
  }
}

byId("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(byId("key").value.trim());
});
byId("sign-out").addEventListener("click", () => leave(""));
addEventListener("hashchange", () => {
  const key = keyFromAddress();
  if (key) signIn(key);
});

const key = keyFromAddress() ?? sessionStorage.getItem(STORE);
if (key) signIn(key);
else leave("");
