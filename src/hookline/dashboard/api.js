// Calls to /v1 with the key of this tab.

/** What Hookline refused: `status` (0 when it cannot be reached), `message`, and `faults` naming fields. */
export class Refused extends Error {
  constructor(status, message, faults = []) {
    super(message);
    this.status = status;
    this.faults = faults;
  }
}

export const looksLikeKey = (text) => /^hl_[\x21-\x7e]+$/.test(text);

/** `api(method, path, body?)` answers with the decoded JSON, or throws Refused. */
export function createApi(key) {
  return async (method, path, body) => {
    const headers = { authorization: `Bearer ${key}` };
    if (body !== undefined) headers["content-type"] = "application/json";
    let response;
    let text;
    try {
      response = await fetch(`/v1${path}`, { method, headers, body: JSON.stringify(body), credentials: "omit" });
      text = await response.text();
    } catch {
      throw new Refused(0, "Hookline cannot be reached.");
    }
    const answer = parse(text);
    if (response.ok) return answer;
    throw new Refused(response.status, answer?.detail ?? `Hookline answered ${response.status}.`, answer?.errors);
  };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // no body, or a proxy's page
  }
}
