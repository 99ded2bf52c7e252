// The page of a session: shows the View that the runner sends about once a second, and throws its kill switch.

import { clock, duration, el, fill, number, titled, words } from "./format.js";
import * as panels from "./panels.js";

const OLD_MS = 5_000; // without a new view, what is shown is old
const RETRY_MS = 2_000;
const find = (id) => document.getElementById(id);

let view = null;
let chosen = null; // id of the market whose book is shown
let heard = performance.now(); // when the last new view came
let connected = false;
let token = takeToken();

// The token comes behind the #, which is never sent; it is taken out of the address at once.
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  }
  return given ?? sessionStorage.getItem("token") ?? "";
}

// ---- what is shown

function show() {
  if (!view) return showBanners();
  const market = view.markets.find((one) => one.id === chosen) ?? view.markets[0];
  const put = (id, parts) => fill(find(id).querySelector(".body"), ...parts);
  put("book", panels.book(view, market));
  put("markets", panels.markets(view, market, choose));
  put("proposals", panels.proposals(view, market));
  put("result", panels.result(view, Math.max(320, find("result").clientWidth - 26)));
  put("positions", panels.positions(view));
  put("checks", panels.checks(view));
  put("alerts", panels.alerts(view));
  put("latency", panels.latency(view));
  put("counts", panels.counts(view));
  showHead();
  showBanners();
}

function choose(id) {
  chosen = id;
  show();
}

function showHead() {
  const failed = view.checks.filter((one) => one.ok === false).length;
  const tags = [
    el(`span.tag.mode.${view.mode}`, view.mode), el("span.tag", view.venue),
    titled(el(view.killed ? "span.tag.bad" : "span.tag", words(view.state)), view.why),
    titled(el("span.tag", `feed ${words(view.feed)}`), "state of the connection with the venue"),
    view.ready.length ? titled(el("span.tag.bad", "not ready"), view.ready.join("\n")) : el("span.tag.ok", "ready"),
    failed ? el("span.tag.bad", `${failed} ${failed === 1 ? "check fails" : "checks fail"}`) : null,
    titled(el(view.trading.enabled ? "span.tag.bad" : "span.tag", view.trading.enabled ? "TRADING" : "no orders to the venue"), view.trading.caps),
  ];
  fill(find("what"), ...tags);
  const facts = [view.policies.join(", "), `${number(view.decisions)} decisions`, `up ${duration(view.ns - view.started_ns)}`, clock(view.ns)];
  fill(find("facts"), titled(el("span", facts.join(" · ")), `session ${view.session}`));
  document.title = `${view.killed ? "KILLED · " : failed ? `✗ ${failed} · ` : ""}${view.mode} ${view.venue} · shadowbook`;
  find("kill").textContent = view.killed ? "Killed" : "Kill";
  find("kill").classList.toggle("thrown", view.killed);
}

function showBanners() {
  const old = performance.now() - heard > OLD_MS;
  const when = view ? `What is shown is of ${clock(view.ns)}.` : "Nothing has been heard of it yet.";
  const gone = !connected && (view || old);
  document.body.classList.toggle("old", gone || old);
  const texts = [
    gone ? ["bad", `The runner is gone: it has ended, or this machine is too busy. ${when} Trying again.`] : null,
    !gone && old ? ["bad", `The runner answers, but shows nothing new: it hangs. ${when}`] : null,
    view?.killed ? ["bad", `Killed${view.why ? `: ${view.why}` : ""}. Nothing new is sent until a person lifts it.`] : null,
    view?.ready.length ? ["warn", `Not ready: ${view.ready.join("; ")}`] : null,
    view?.trading.enabled && view.trading.caps ? ["warn", `Orders go to the venue. ${view.trading.caps}`] : null,
  ].filter((one) => one);
  const key = JSON.stringify(texts);
  if (find("banners").dataset.key === key) return; // a screen reader would read it again
  find("banners").dataset.key = key;
  fill(find("banners"), ...texts.map(([kind, text]) => el(`p.banner.${kind}`, text)));
}

// ---- the connection

function connect() {
  const source = new EventSource("/events");
  source.addEventListener("open", () => { connected = true; });
  source.addEventListener("message", (event) => {
    view = JSON.parse(event.data);
    heard = performance.now();
    connected = true;
    show();
  });
  source.addEventListener("error", () => {
    source.close();
    connected = false;
    showBanners();
    setTimeout(connect, RETRY_MS);
  });
}

// ---- the kill switch

function ask() {
  find("problem").hidden = true;
  find("token-label").hidden = Boolean(token);
  find("now").disabled = false;
  find("sure").showModal();
  find("now").focus();
}

function fail(text) {
  find("problem").textContent = `${text} If orders may be out: end the runner with Ctrl-C in its terminal, and cancel them at the venue.`;
  find("problem").hidden = false;
  find("now").disabled = false;
}

async function kill() {
  const given = token || find("token").value.trim();
  if (!given) return fail("The token is missing: open the link that the runner printed, or give it here.");
  find("now").disabled = true;
  try {
    const answer = await fetch("/kill", {
      method: "POST",
      headers: { Authorization: `Bearer ${given}`, "Content-Type": "application/json" },
      body: JSON.stringify({ reason: find("reason").value.trim() || "by hand, from the page" }),
    });
    if (answer.ok) {
      token = given;
      sessionStorage.setItem("token", given);
      find("sure").close();
    } else if (answer.status === 401) {
      token = "";
      sessionStorage.removeItem("token");
      find("token-label").hidden = false;
      fail("That is not the token of this run.");
    } else {
      fail(`NOT killed: the runner answers ${answer.status}, ${(await answer.text()).slice(0, 200)}.`);
    }
  } catch (error) {
    fail(`NOT killed: no answer from the runner (${error.message}).`);
  }
  return undefined;
}

find("kill").addEventListener("click", ask);
find("now").addEventListener("click", kill);
find("back").addEventListener("click", () => find("sure").close());
addEventListener("resize", show);
setInterval(showBanners, 1_000);
connect();
