// One function a panel: from a View to elements. docs/units.md has the units; proposals are in YES space.

import { chart } from "./charts.js";
import { clock, contracts, duration, el, money, none, number, percent, price, table, titled, words } from "./format.js";

const ONE = 10_000; // a dollar, in price units

// The account whose policy is judged; the others are what it is compared with.
export const judged = (view) => view.accounts.find((one) => one.role === "executes") ?? view.accounts[0];
const curve = (view, account) => (account === judged(view) ? "policy" : `baseline b${(view.accounts.indexOf(account) + 2) % 3}`);
const swatch = (view, account) => el(`span.swatch.${curve(view, account).replace(" ", ".")}`);

// ---- the book of a market, with our own orders in it

function ownOrders(view, market) {
  const found = new Map();
  for (const account of view.accounts) {
    for (const order of account.resting.filter((one) => one.market === market.id)) {
      const title = `${account.name}: ${order.side} of ${order.leg.toUpperCase()}, ${duration(order.age_ns)} old`;
      const tag = titled(el(`span.own.${order.side}`, swatch(view, account), contracts(order.lots)), title);
      found.set(order.px, [...(found.get(order.px) ?? []), tag]);
    }
  }
  return found;
}

export function book(view, market) {
  if (!market) return [none("No market yet.")];
  const own = ownOrders(view, market);
  const bids = new Map(market.bids);
  const asks = new Map(market.asks);
  const most = Math.max(1, ...bids.values(), ...asks.values());
  const prices = [...new Set([...bids.keys(), ...asks.keys(), ...own.keys()])].sort((a, b) => b - a);
  const size = (lots, side) => {
    const cell = el(`td.size.${side}`);
    if (lots === undefined) return cell;
    const bar = el("span.bar");
    bar.style.width = `${(100 * lots) / most}%`;
    cell.append(bar, el("span", contracts(lots)));
    return cell;
  };
  const rows = prices.map((px) => el(
    px === market.asks[0]?.[0] ? "tr.touch" : "tr",
    size(bids.get(px), "bid"), el("td.px", price(px)), size(asks.get(px), "ask"), el("td.owns", ...(own.get(px) ?? [])),
  ));
  const spread = market.bids.length && market.asks.length ? price(market.asks[0][0] - market.bids[0][0]) : "–";
  const facts = [["mark", price(market.mark_px)], ["last", price(market.last_px)], ["spread", spread], ["age", duration(market.book_age_ns)]];
  return [
    el("p.title", titled(el("strong", market.id), market.title), market.title === market.id ? "" : ` ${market.title}`),
    market.lost ? el("p.problem", "Not to be trusted: messages were lost. No order goes out here until the book is told again.") : null,
    el("dl.facts", ...facts.map(([name, text]) => el("div", el("dt", name), el("dd", text)))),
    rows.length ? table([">bid", "price", "ask", ""], rows, market.lost ? "table.ladder.lost" : "table.ladder") : none("The book is empty."),
  ];
}

// ---- proposals

function order(one) {
  if (one.do !== "place") return one.do === "cancel" ? `cancel ${one.side}` : `${one.do} ${contracts(one.lots)}`;
  const verb = (one.side === "bid") === (one.leg === "yes") ? "buy" : "sell";
  if (!one.lots) return `${verb} ${one.leg.toUpperCase()} refused`;
  const at = one.leg === "yes" ? price(one.px) : `${price(ONE - one.px)} (YES ${price(one.px)})`;
  return `${verb} ${one.leg.toUpperCase()} ${contracts(one.lots)} at ${at}`;
}

const of = (market, account, side) => market.proposals.filter((one) => one.account === account.name && one.side === side);
const gist = (orders) => orders.map(order).sort().join("; ") || "nothing";

// Sides at which an account wants something else than the judged one.
export function differences(view, market) {
  const first = judged(view);
  return view.accounts.filter((one) => one !== first).flatMap((other) => ["bid", "ask"]
    .filter((side) => gist(of(market, first, side)) !== gist(of(market, other, side)))
    .map((side) => `${other.name} ${side}`));
}

function wish(one) {
  const cut = one.reasons.length || one.lots !== one.asked_lots;
  const why = cut ? `asked for ${contracts(one.asked_lots)}: ${one.reasons.map(words).join(", ") || "cut"}` : "";
  return el("div.wish", order(one), cut ? titled(el("span.cut", why), "changed, refused or held by the shield") : null);
}

export function proposals(view, market) {
  if (!market || !view.accounts.length) return [none("Nobody has decided yet.")];
  const first = judged(view);
  const rows = view.accounts.map((account) => {
    const cells = ["bid", "ask"].map((side) => {
      const wanted = of(market, account, side);
      const differs = account !== first && gist(wanted) !== gist(of(market, first, side));
      return el(differs ? "td.differs" : "td", ...(wanted.length ? wanted.map(wish) : [el("span.none", "nothing")]),
        differs ? titled(el("span.mark", "≠"), `${first.name} wants: ${gist(of(market, first, side))}`) : null);
    });
    return el("tr", el("th", swatch(view, account), account.name, " ", el("span.role", account.role)), ...cells);
  });
  const divergence = market.divergence === null ? null : el("p.note", `divergence ${market.divergence.toFixed(3)}`);
  return [table([market.id, "bid side", "ask side"], rows, "table.wishes"), divergence];
}

// ---- markets

export function markets(view, chosen, choose) {
  if (!view.markets.length) return [none("No market yet.")];
  const rows = view.markets.map((market) => {
    const pick = titled(el("button.pick", market.id), market.title);
    pick.dataset.key = market.id;
    pick.type = "button";
    const row = el(market === chosen ? "tr.chosen" : "tr",
      el("td", pick), el("td.num", price(market.bids[0]?.[0] ?? null)), el("td.num", price(market.asks[0]?.[0] ?? null)),
      el("td.num", price(market.mark_px)), el("td.num", duration(market.book_age_ns)), quality(market),
      el("td", differences(view, market).length ? titled(el("span.mark", "≠"), differences(view, market).join(", ")) : ""));
    row.addEventListener("click", () => choose(market.id));
    return row;
  });
  return [table(["market", ">bid", ">ask", ">mark", ">age", "data", ""], rows, "table.markets")];
}

function quality(market) {
  if (market.lost) return el("td.bad", "lost");
  const stale = market.stale.length ? el("span.bad", ` ${market.stale.map(words).join(", ")} old`) : null;
  return el("td", percent(market.quality), stale);
}

// ---- accounts

export function result(view, width) {
  if (!view.accounts.length) return [none("No account yet.")];
  const lines = view.accounts.map((one) => ({
    name: one.name, kind: curve(view, one), points: one.history.map(([ns, uusd]) => [ns, uusd - one.start_uusd]),
  }));
  const rows = view.accounts.map((one) => {
    const gain = one.equity_uusd - one.start_uusd;
    return el("tr",
      el("th", swatch(view, one), one.name, " ", el("span.role", one.role)), el(gain < 0 ? "td.num.loss" : "td.num.gain", money(gain, true)),
      el("td.num", money(one.equity_uusd)), el("td.num", money(one.cash_uusd - one.reserved_uusd)), el("td.num", money(one.drawdown_uusd)),
      el(one.regime === "normal" ? "td" : "td.bad", words(one.regime)), el("td.num", number(one.fills)), el("td.num", number(one.rejects)));
  });
  return [chart(lines, width), table(["account", ">result", ">equity", ">free cash", ">drawdown", "regime", ">fills", ">rejects"], rows)];
}

// What is held, at the mark: a price times lots is micro-dollars.
function worth(view, one) {
  const mark = view.markets.find((market) => market.id === one.market)?.mark_px ?? null;
  return mark === null ? "–" : money(one.yes_lots * mark + one.no_lots * (ONE - mark));
}

export function positions(view) {
  const held = view.accounts.flatMap((account) => account.positions.map((one) => el("tr",
    el("td", swatch(view, account), account.name), el("td", one.market), el("td.num", contracts(one.yes_lots)),
    el("td.num", contracts(one.no_lots)), el("td.num", money(one.cost_uusd)), el("td.num", worth(view, one)))));
  const resting = view.accounts.flatMap((account) => account.resting.map((one) => el("tr",
    el("td", swatch(view, account), account.name), el("td", one.market), el("td", order({ ...one, do: "place" })),
    el("td.num", duration(one.age_ns)))));
  return [
    held.length ? table(["account", "market", ">YES", ">NO", ">cost", ">at mark"], held) : none("Nothing is held."),
    resting.length ? table(["account", "market", "order", ">age"], resting) : none("No order rests."),
  ];
}

// ---- checks, alerts, latency, counts

const RANK = new Map([[false, 0], [null, 2], [true, 1]]);
const SIGN = new Map([[true, ["ok", "✓"]], [false, ["bad", "✗"]], [null, ["unknown", "–"]]]);

export function checks(view) {
  if (!view.checks.length) return [none("Nothing is checked yet.")];
  const rows = [...view.checks].sort((a, b) => RANK.get(a.ok) - RANK.get(b.ok)).map((one) => {
    const [kind, sign] = SIGN.get(one.ok);
    const advice = one.ok === false ? el("div.do", one.do) : null;
    return titled(el(`tr.${kind}`, el("td.sign", sign), el("th", one.name),
      el("td", el("div", one.measured, " ", el("span.wanted", `· ${one.wanted}`)), advice)), one.do);
  });
  return [el("table.checks", el("tbody", ...rows))];
}

export function alerts(view) {
  if (!view.alerts.length) return [none("None.")];
  return [el("ul.alerts", ...view.alerts.map((one) => titled(el(`li.${one.level}`,
    el("span.when", clock(one.ns)), el("span.level", one.level), el("span", one.text), el("div.do", one.do)), one.code)))];
}

export function latency(view) {
  const found = view.latency;
  if (!found.count) return [none("No decision yet.")];
  const facts = [["p50", found.p50_ns], ["p90", found.p90_ns], ["p99", found.p99_ns], ["max", found.max_ns]];
  const most = Math.max(1, ...found.stages.map((one) => one.p99_ns));
  const rows = found.stages.map((one) => {
    const [middle, tail] = [el("span.bar.p50"), el("span.bar.p99")];
    middle.style.width = `${(100 * one.p50_ns) / most}%`;
    tail.style.width = `${(100 * one.p99_ns) / most}%`;
    return el("tr", el("th", one.name), el("td.bars", tail, middle), el("td.num", duration(one.p50_ns)), el("td.num", duration(one.p99_ns)));
  });
  return [
    el("dl.facts", ...facts.map(([name, ns]) => el("div", el("dt", name), el("dd", duration(ns))))),
    rows.length ? table(["stage", "", ">p50", ">p99"], rows) : null,
    el("p.note", `of the last ${number(found.count)} decisions`),
  ];
}

export function counts(view) {
  const found = Object.entries(view.counts);
  if (!found.length) return [none("Nothing counted yet.")];
  return [el("dl.counts", ...found.map(([name, value]) => el("div", el("dt", words(name)), el("dd", number(value)))))];
}
