// The dashboard: what is so now, every two seconds, and what was read of the log, when it has changed.

const NOW_MS = 2000;
const BOARD_MS = 3000;
const KEY = "easq admin key";
const PARTS = ["experiment", "shadow", "questionnaire", "validity", "learners", "rankings"];

const at = (id) => document.getElementById(id);
const dark = matchMedia("(prefers-color-scheme: dark)");
const whole = new Intl.NumberFormat("en");
const seen = []; // {at_ms, rankings, events} of the last polls, for rates
const shown = new Map(); // part name -> at_ms of what is on the page
let board = null;
let etag = "";

/** Ask with the key of this tab. Returns null where nothing has changed; throws what the service says. */
async function ask(path, headers = {}) {
  const key = sessionStorage.getItem(KEY);
  const given = key ? { ...headers, authorization: `Bearer ${key}` } : headers;
  const reply = await fetch(path, { headers: given, cache: "no-store" });
  if (reply.status === 304) return null;
  const body = await reply.json();
  if (reply.ok) return { body, etag: reply.headers.get("etag") };
  throw Object.assign(new Error(body.error.message), { status: reply.status });
}

function make(tag, text, kind = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function tile(label, value, bad = false) {
  const box = make("div", "", bad ? "tile bad" : "tile");
  box.append(make("b", value), make("span", label));
  return box;
}

const number = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const count = (value) => (value === null || value === undefined ? "–" : whole.format(value));

function seconds(value) {
  if (value === null || value === undefined) return "–";
  return value < 1 ? `${Math.round(1000 * value)} ms` : `${value.toFixed(1)} s`;
}

function age(ms) {
  const passed = Math.max(0, ms / 1000);
  if (passed < 90) return `${Math.round(passed)} s`;
  if (passed < 5400) return `${Math.round(passed / 60)} min`;
  return passed < 172800 ? `${Math.round(passed / 3600)} h` : `${Math.round(passed / 86400)} days`;
}

/** Return how many a second came in the last polls. */
function rate(field) {
  const [first, last] = [seen[0], seen.at(-1)];
  const passed = (last.at_ms - first.at_ms) / 1000;
  return passed > 0 ? `${((last[field] - first[field]) / passed).toFixed(1)}/s` : "–";
}

function showNow(overview) {
  const { service, learners } = overview;
  at("name").textContent = overview.name;
  document.title = `easq ${overview.name}`;
  const point = { at_ms: overview.at_ms, rankings: service.rankings + service.shadow_rankings, events: service.events_accepted };
  if (seen.length && point.rankings < seen.at(-1).rankings) seen.length = 0; // it was started again
  seen.push(point);
  const shadow = service.shadow_rankings ? `, ${count(service.shadow_rankings)} of them in the shadow` : "";
  if (seen.length > 8) seen.shift();
  at("tiles").replaceChildren(
    tile(service.ready ? "the service ranks" : service.reason, service.ready ? "ready" : "not ready", !service.ready),
    tile("from an answer to the parameters that rank", seconds(service.freshness_seconds)),
    tile(`rankings, ${count(point.rankings)} in all${shadow}`, rate("rankings")),
    tile(`events, ${count(service.events_accepted)} in all`, rate("events")),
    tile("answers since it started", count(service.answers_accepted)),
    tile("events refused", count(service.events_refused), service.events_refused > 0),
    tile("failed writes to the log", count(service.log_failures), service.log_failures > 0),
  );
  const heads = ["Model", "serves version", "learner's last status", "has learned version", "events behind", "answers",
    "pair accuracy", "its longer past", "experts that fire", "of satisfaction", "gradient norm", "losses"];
  const head = make("tr", "");
  head.append(...heads.map((text) => make("th", text)));
  const rows = Object.entries(learners).map(([name, learner]) => {
    const row = make("tr", "");
    const losses = Object.entries(learner.losses ?? {}).map(([loss, value]) => `${loss} ${number(value, 3)}`);
    const version = name === "main" ? service.version : service.arms[name];
    const cells = [name, version ?? "–", learner.at ? `${age(overview.at_ms - 1000 * learner.at)} ago` : "never",
      learner.version === undefined ? "–" : count(learner.version), count(learner.lag_events), count(learner.answers),
      number(learner.pair_accuracy?.recent, 3), number(learner.pair_accuracy?.level, 3),
      number(learner.active_experts, 1), number(learner.active_satisfaction_experts, 1), number(learner.gradient, 3), losses.join(", ") || "–"];
    row.append(...cells.map((text) => make("td", text)));
    return row;
  });
  const caption = make("caption", "Models and their learners, now. main serves whoever is in no arm with a model of its own.");
  const [top, body] = [make("thead", ""), make("tbody", "")];
  top.append(head);
  body.append(...rows);
  at("models").replaceChildren(caption, top, body);
  offer(overview.experiments);
}

function offer(names) {
  at("choice").querySelector("label").hidden = at("experiment").hidden = names.length === 0;
  if (at("experiment").options.length === names.length) return;
  at("experiment").replaceChildren(...names.map((name) => new Option(name, name)));
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const theme = () => ({ "font.color": color("--ink"), "hoverlabel.bgcolor": color("--card"),
  "hoverlabel.bordercolor": color("--line"), "hoverlabel.font.color": color("--ink") });

/** Put a part's blocks in its place; the service has escaped all data in them. */
function showPart(part) {
  const place = at(`${part.name}-part`);
  const open = [...place.querySelectorAll("details")].map((one) => one.open);
  for (const plot of place.querySelectorAll(".plot")) Plotly.purge(plot);
  place.style.minHeight = `${place.offsetHeight}px`;
  place.innerHTML = part.html;
  place.querySelectorAll("details").forEach((one, n) => {
    one.open = open[n] ?? false;
    one.addEventListener("toggle", () => one.open && one.querySelectorAll(".plot").forEach(draw));
  });
  place.querySelectorAll(".plot").forEach(draw);
  place.style.minHeight = "";
  shown.set(part.name, part.at_ms);
}

/** Draw a figure that can be seen and is not drawn; one in closed details has no width yet. */
function draw(plot) {
  if (plot.offsetParent === null || plot.classList.contains("js-plotly-plot")) return;
  const { data, layout } = JSON.parse(plot.nextElementSibling.textContent);
  Plotly.newPlot(plot, data, layout, { displayModeBar: false, responsive: true })
    .then(() => Plotly.relayout(plot, theme()));
}

function showBoard(newest) {
  board = newest;
  for (const part of newest.parts) if (shown.get(part.name) !== part.at_ms) showPart(part);
  tellAge();
}

function tellAge() {
  if (!board) return;
  if (board.error) {
    at("look").textContent = `The last reading of the log failed: ${board.error}`;
    return;
  }
  const oldest = Math.min(...board.parts.map((part) => part.at_ms));
  const took = board.parts.reduce((sum, part) => sum + part.seconds, 0);
  const words = board.parts.length
    ? `The log as of ${new Date(oldest).toLocaleTimeString()}; reading it took ${took.toFixed(1)} s.` : "";
  const wanted = PARTS.filter((name) => name !== "experiment" || at("experiment").value);
  const here = wanted.filter((name) => shown.has(name)).length;
  const progress = here < wanted.length ? ` (${here} of ${wanted.length} parts are here)` : "";
  at("look").textContent = `${words} ${board.is_reading ? `The log is being read${progress}.` : ""}`.trim();
}

async function pollNow() {
  try {
    const { body } = await ask("/v1/dashboard");
    showNow(body);
    const { ready, reason, alarms } = body.service;
    const wrong = [...(ready ? [] : [`the service does not rank: ${reason}`]), ...alarms];
    const asOf = `As of ${new Date().toLocaleTimeString()}, renewed every ${NOW_MS / 1000} s.`;
    at("status").textContent = [asOf, ...wrong].join(" ");
    at("status").className = wrong.length ? "warning" : "soft";
    [at("door").hidden, at("inside").hidden] = [true, false];
    return true;
  } catch (error) {
    if (error.status === 401 || error.status === 403) {
      const tried = sessionStorage.getItem(KEY);
      sessionStorage.removeItem(KEY);
      [at("door").hidden, at("inside").hidden] = [false, true];
      at("status").textContent = tried ? error.message : "";
      return false;
    }
    at("status").textContent = `The service cannot be asked: ${error.message}`;
    return true;
  }
}

async function pollBoard() {
  const chosen = at("experiment").value;
  const query = chosen ? `?experiment=${encodeURIComponent(chosen)}` : "";
  try {
    const reply = await ask(`/v1/dashboard/board${query}`, etag ? { "if-none-match": etag } : {});
    if (reply && chosen === at("experiment").value) {
      etag = reply.etag;
      showBoard(reply.body);
    }
  } catch (error) {
    at("look").textContent = error.message;
  }
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
let turn = 0;

/** Ask again and again, while the page can be seen and has a key that opens it. */
async function run() {
  const mine = ++turn;
  if (!(await pollNow())) return;
  await pollBoard();
  let boarded = Date.now();
  while (mine === turn) {
    await pause(NOW_MS);
    if (document.hidden || mine !== turn) continue;
    if (!(await pollNow())) return;
    const wait = board?.is_reading || !board?.parts.length ? 0 : BOARD_MS;
    if (Date.now() - boarded >= wait) {
      await pollBoard();
      boarded = Date.now();
    }
  }
}

at("door").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, at("key").value.trim());
  at("key").value = "";
  run();
});
at("experiment").addEventListener("change", () => {
  [etag, board] = ["", null];
  shown.delete("experiment");
  at("experiment-part").replaceChildren();
  pollBoard();
});
dark.addEventListener("change", () =>
  document.querySelectorAll(".js-plotly-plot").forEach((plot) => Plotly.relayout(plot, theme())));

run();
