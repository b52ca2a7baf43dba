// Signs in, then keeps the page in step with /v1 for as long as it can be seen.
import { Refused, createApi, looksLikeKey } from "./api.js";
import { byId, element, setText } from "./dom.js";
import { createEvents } from "./events.js";
import { createFigures } from "./figures.js";
import { createForm } from "./form.js";
import { createHooks } from "./hooks.js";

const PACE = 1000;
const PACE_LOST = 4000;
const SLOW = 3; // hooks, deliveries and the list of campaigns are read every third time
const STORE = "hookline-key";

const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));
const visible = () =>
  new Promise((resolve) => document.addEventListener("visibilitychange", () => document.hidden || resolve(), { once: false }));

let current = null; // the session that the page shows

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
  const session = { open: true, api };
  try {
    session.campaigns = (await api("GET", "/campaigns?limit=250")).data;
    session.types = (await api("GET", "/event-types")).data;
  } catch (error) {
    return leave(error.status === 401 ? "That key was not accepted: it is unknown or was revoked." : error.message);
  }
  sessionStorage.setItem(STORE, key);
  current = session;
  byId("sign-in").hidden = true;
  byId("page").hidden = byId("session").hidden = false;
  byId("key").value = "";
  return run(session);
}

/** Back to the sign-in field, with a sentence that says why. */
function leave(why) {
  if (current) current.open = false;
  current = null;
  sessionStorage.removeItem(STORE);
  byId("page").hidden = byId("session").hidden = true;
  byId("sign-in").hidden = false;
  setText(byId("key-error"), why);
  byId("key").toggleAttribute("aria-invalid", Boolean(why));
  byId("key").focus();
}
