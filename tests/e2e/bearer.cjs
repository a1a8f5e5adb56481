// Gives the MCP conformance suite the token that it can't be given.
//
// Preloaded by `node --require`: adds `Authorization: Bearer` to requests to the
// origin under test, in both ways that the suite sends them: the dispatcher
// that global fetch and undici.request share, and http.request. A request that
// names an authorization keeps its own.
//
// BEARER_ORIGIN: the origin, as http://ADDRESS:PORT. BEARER_TOKEN: the token.

"use strict";

const { BEARER_ORIGIN: origin, BEARER_TOKEN: token } = process.env;
if (!origin || !token) throw new Error("set BEARER_ORIGIN and BEARER_TOKEN");
const http = require("node:http");
const shared = Symbol.for("undici.globalDispatcher.1");

/** Headers of any shape that the dispatcher takes, as [name, value] pairs. */
function pairs(headers) {
  if (!headers) return [];
  if (!Array.isArray(headers)) {
    return typeof headers[Symbol.iterator] === "function" ? [...headers] : Object.entries(headers);
  }
  const found = [];
  for (let at = 0; at < headers.length; at += 2) found.push([headers[at], headers[at + 1]]);
  return found;
}

const authorized = (dispatch) => (options, handler) => {
  if (String(options.origin) !== origin) return dispatch(options, handler);
  const given = pairs(options.headers);
  if (!given.some(([name]) => String(name).toLowerCase() === "authorization")) {
    given.push(["authorization", `Bearer ${token}`]);
  }
  return dispatch({ ...options, headers: given.flat() }, handler);
};

void Headers; // loads the library, which makes the dispatcher
globalThis[shared] = globalThis[shared].compose(authorized);

const { host } = new URL(origin);
const { request } = http;
http.request = (options, ...rest) => {
  const sent = request(options, ...rest);
  const theirs = `${options.hostname ?? options.host}:${options.port}` === host;
  if (theirs && !sent.hasHeader("authorization")) sent.setHeader("authorization", `Bearer ${token}`);
  return sent;
};
