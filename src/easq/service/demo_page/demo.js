// The demo: one viewer's feed, ranked by the live system, asked about and ranked anew.

import { CLIPS, makeScreen } from "/demo/clips.js";

const BY_ID = new Map(CLIPS.map((clip) => [clip.id, clip]));
const REMEMBERED = 8; // clips that do not come again so soon
const LOOK_MS = 250; // between looks at whether the model has moved on
const LOOKS = 40;
const SAID = { dissatisfied: "not satisfied", uncertain: "not sure" }; // as the widget's buttons have it

const at = (id) => document.getElementById(id);
const user = `viewer-${Math.random().toString(36).slice(2, 10)}`;
const { canvas, draw } = makeScreen();
const seen = [];
let ranking = null;
let playing = null; // {clip, request, startedAt}
let asking = null; // {question, options, min_play_ms, min_ratio}
let answered = null; // the clip that was answered last

async function call(method, path, body) {
  const headers = { "content-type": "application/json" };
  const reply = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.error.message);
  return answer;
}

/** Tell the service what the clips are, as far as its recipe has features for it. */
async function tellClips() {
  const schema = await call("GET", "/schema");
  const known = schema.components.schemas.ItemPut.properties.features.properties;
  const items = CLIPS.map(({ id, topic, mood, seconds }) => {
    const all = Object.entries({ topic, mood, duration_s: seconds });
    return { item_id: id, features: Object.fromEntries(all.filter(([name]) => name in known)) };
  });
  await call("PUT", "/v1/items", { items });
}

async function rank() {
  const candidates = CLIPS.map((clip) => clip.id);
  const before = ranking;
  ranking = await call("POST", "/v1/rank", { user_id: user, candidates });
  return show(before);
}

/** Draw the list; return how many clips have another place than in the ranking before. */
function show(before) {
  let moved = 0;
  const rows = ranking.items.map((id, place) => {
    const clip = BY_ID.get(id);
    const by = before ? before.items.indexOf(id) - place : 0;
    moved += by !== 0;
    const row = document.createElement("li");
    row.append(cell("rank", place + 1), cell(`dot ${clip.topic}`, ""), cell("name", clip.title));
    row.append(cell(`moved ${by > 0 ? "up" : "down"}`, by ? `${by > 0 ? "▲" : "▼"} ${Math.abs(by)}` : ""));
    row.append(cell("score", ranking.scores[place].toFixed(4)));
    if (id === playing?.clip.id) row.setAttribute("aria-current", "true");
    row.classList.toggle("answered", id === answered);
    return row;
  });
  at("list").replaceChildren(...rows);
  at("list").dataset.version = ranking.version;
  return moved;
}

function cell(name, text) {
  const made = document.createElement("span");
  made.className = name;
  made.textContent = text;
  return made;
}

function play() {
  const id = ranking.items.find((one) => !seen.includes(one));
  seen.push(id);
  if (seen.length > REMEMBERED) seen.shift();
  playing = { clip: BY_ID.get(id), request: ranking.request_id, startedAt: performance.now() };
  at("title").textContent = playing.clip.title;
  at("kind").textContent = `${playing.clip.topic} · ${playing.clip.seconds} s`;
  at("like").setAttribute("aria-pressed", "false");
  at("own").hidden = true;
  const question = at("question");
  question.setAttribute("duration", playing.clip.seconds);
  question.setAttribute("user", user);
  question.setAttribute("item", id);
  question.setAttribute("request", playing.request);
  show(null);
}

/** Say from when on a view is asked about, and make the buttons for views that the service does not ask about. */
async function readAsking() {
  asking = await call("GET", "/demo/asking.json");
  const parts = [`${asking.min_play_ms / 1000} seconds`];
  if (asking.min_ratio <= 1) parts.push(asking.min_ratio < 1 ? `${Math.round(100 * asking.min_ratio)} % of it` : "to its end");
  at("rule").textContent = `Watch a clip for ${parts.join(" or ")} and say how it was.`;
  at("options").replaceChildren(
    ...asking.options.map((option) => {
      const button = document.createElement("button");
      button.textContent = SAID[option] ?? option;
      button.addEventListener("click", () => attempt(() => answerHere(option)));
      return button;
    }),
  );
}

/** Send an answer as a platform sends those of its own questionnaire: every view here is asked about. */
async function answerHere(option) {
  if (at("own").hidden) return; // the second click of two
  at("own").hidden = true;
  const item = playing.clip.id;
  const view = { user_id: user, request_id: playing.request, item_id: item, question: asking.question, propensity: 1 };
  const events = [
    { ...view, type: "asked", event_id: crypto.randomUUID() },
    { ...view, type: "answered", event_id: crypto.randomUUID(), option },
  ];
  const { results } = await call("POST", "/v1/events", { events });
  const refused = results.find((one) => one.status === "refused");
  if (refused) throw new Error(refused.reason);
  await learned({ option, item });
}

/** Say what the viewer did with the clip that was playing. */
async function report() {
  const watched = (performance.now() - playing.startedAt) / 1000 / playing.clip.seconds;
  const liked = at("like").getAttribute("aria-pressed") === "true";
  const values = { long_view: [watched >= 0.5 ? 1 : 0], like: [liked ? 1 : 0] };
  const event = { type: "behavior", event_id: crypto.randomUUID(), user_id: user, values };
  await call("POST", "/v1/events", { events: [{ ...event, request_id: playing.request, items: [playing.clip.id] }] });
}

/** Wait until the model has learned, then rank anew and say what moved. */
async function learned({ option, item }) {
  const clip = BY_ID.get(item);
  const { version, items } = ranking;
  const said = `You said “${SAID[option] ?? option}” about ${clip.title}.`;
  at("news").textContent = `${said} Learning …`;
  for (let look = 0; look < LOOKS; look++) {
    await new Promise((done) => setTimeout(done, LOOK_MS));
    if ((await call("GET", "/v1/status")).version !== version) break;
  }
  answered = item;
  const moved = await rank();
  const [from, to] = [items, ranking.items].map((list) => list.indexOf(item) + 1);
  const went = from === to ? `It stays at place ${to}` : `It went from place ${from} to ${to}`;
  at("news").textContent = `${said} ${went}; ${moved} of ${CLIPS.length} clips moved (${version} became ${ranking.version}).`;
}

async function next() {
  if (playing) await report();
  await rank();
  play();
}

/** Do something that calls the service; what goes wrong is said where the viewer reads. */
function attempt(doing) {
  return doing().catch((error) => { at("news").textContent = `It did not work: ${error.message}`; });
}

at("next").addEventListener("click", () => attempt(next));
at("like").addEventListener("click", () => {
  at("like").setAttribute("aria-pressed", String(at("like").getAttribute("aria-pressed") !== "true"));
});
document.addEventListener("easq-offer", ({ detail }) => {
  if (detail.show || detail.item !== playing?.clip.id) return;
  at("why").textContent = `The system did not ask about this view (${detail.reason || "no reason given"}). This page asks instead. How was it?`;
  at("own").hidden = false;
});
document.addEventListener("easq-answer", (event) => attempt(() => learned(event.detail)));

function tick() {
  if (playing) draw(playing.clip, (performance.now() - playing.startedAt) / 1000);
  requestAnimationFrame(tick);
}

tick();
at("video").srcObject = canvas.captureStream(30);
attempt(async () => {
  await readAsking();
  await tellClips();
  await next();
  at("news").textContent = "Say how a clip was, and see the ranking move.";
  await at("video").play();
});
