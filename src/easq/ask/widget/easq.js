// <easq-question>: asks the viewer of a video one question, at the bottom of its player.
// docs/widget.md says how to use it. No build step, no dependency, nothing loaded from elsewhere.
(() => {
  "use strict";

  const VIEW = ["user", "request", "item"]; // the attributes that name a view
  const RULE = { min_play_ms: 7000, min_ratio: 0.5 }; // from here on a view is offered; the service writes its own
  const FADE_MS = 6000;
  const OFFER_WAIT_MS = 3000; // a question that comes later would be about something long gone
  const REPORT_WAIT_MS = 10000;
  const PAUSES_MS = [1000, 4000]; // before a report is repeated
  const LEAVE_MS = 250; // as long as the transition in STYLE
  const THANKS_MS = 1600;
  const SEEN_MS = 500; // between two looks whether a question that waits could be seen
  const MIDDLE_PX = 60; // of a question, above the bottom of its player
  const LONGEST_LOOK_MS = 2000; // between two looks at a playing video; more is a machine that slept
  const MEDIA = "playing pause waiting seeking seeked ended emptied ratechange timeupdate".split(" ");
  const KEPT = "click dblclick pointerdown pointerup touchstart touchend keydown keyup wheel".split(" ");

  // For what the service leaves out.
  const WORDS = {
    en: {
      close: "Close", thanks: "Thank you!", satisfaction: "Are you satisfied with this video?",
      dissatisfied: "Dissatisfied", uncertain: "Not sure", satisfied: "Satisfied",
    },
    zh: {
      close: "关闭", thanks: "谢谢！", satisfaction: "你对这个视频满意吗？",
      dissatisfied: "不满意", uncertain: "不确定", satisfied: "满意",
    },
  };

  const LIGHT = "--bg:#fffffff5;--fg:#16181d;--line:#16181d24;--soft:#16181d0d;--accent:#2456e6;color-scheme:light";
  const DARK = "--bg:#1d2027f5;--fg:#f3f4f6;--line:#ffffff2e;--soft:#ffffff14;--accent:#8fb0ff;color-scheme:dark";
  const STYLE = `
:host{${LIGHT};position:absolute;inset-inline:0;bottom:0;z-index:10;display:block;pointer-events:none}
:host([theme=dark]){${DARK}} @media (prefers-color-scheme:dark){:host(:not([theme=light])){${DARK}}}
:host([hidden]),[hidden]{display:none!important} *{box-sizing:border-box}
.panel{position:relative;margin:0 auto var(--easq-bottom,12px);width:calc(100% - 24px);max-width:min(100% - 24px,var(--easq-width,440px));
padding:10px 12px 12px;pointer-events:auto;border-radius:var(--easq-radius,16px);border:1px solid var(--easq-line,var(--line));
background:var(--easq-background,var(--bg));color:var(--easq-text,var(--fg));box-shadow:0 8px 28px #0000003d;
font:500 15px/1.35 var(--easq-font,system-ui,sans-serif);opacity:0;transform:translateY(8px);
transition:opacity .25s ease-out,transform .25s ease-out;-webkit-tap-highlight-color:transparent} .lifted{margin-bottom:var(--easq-bottom,84px)} .in{opacity:1;transform:none} .head{position:relative;display:grid;align-items:center;min-height:32px;margin-block-end:8px} .text{margin:0;padding-inline:4px 40px;font-weight:600;text-wrap:balance;overflow-wrap:anywhere}
.options{display:flex;flex-wrap:wrap;gap:8px} button{font:inherit;color:inherit;cursor:pointer;background:none;border:0;padding:0;touch-action:manipulation}
.options button{flex:1 1 auto;min-height:44px;padding:6px 10px;border-radius:calc(var(--easq-radius,16px) - 5px);
border:1px solid var(--easq-line,var(--line));background:var(--easq-option,var(--soft));transition:background-color .12s} .options button:hover{border-color:var(--easq-accent,var(--accent))}
.answered .options button{opacity:.45;cursor:default} .answered .options .chosen{opacity:1;background:var(--easq-accent,var(--accent));color:var(--easq-background,var(--bg))}
.close{position:absolute;top:10px;inset-inline-end:12px;width:32px;height:32px;border-radius:50%;font-size:20px;line-height:1;opacity:.65}
.close:hover{opacity:1;background:var(--easq-option,var(--soft))} button:focus-visible{outline:3px solid var(--easq-accent,var(--accent));outline-offset:2px;opacity:1}
.thanks{position:absolute;inset:0;display:grid;place-items:center;margin:0;font-weight:600}
.answered .text,.answered .close{visibility:hidden} .status{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
@media (prefers-reduced-motion:reduce){.panel,.options button{transition:none;transform:none}}`;

  // A module, or what a module imports, has no current script. A proxy may have put a prefix before the path.
  const IS_WIDGET = /\/widget\/easq\.js([?#].*)?$/;
  const loaded = () => performance.getEntriesByType("resource").find(({ name }) => IS_WIDGET.test(name))?.name;
  const source = document.currentScript?.src || loaded() || location.href;
  const home = IS_WIDGET.test(source) ? source.replace(IS_WIDGET, "") : new URL(source).origin;
  let sheet;

  // sight.js

  function make(tag, name, attributes = {}, text = "") {
    const made = document.createElement(tag);
    made.className = name;
    made.part.add(name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    made.textContent = text;
    return made;
  }

  function isWhole({ question, token }) {
    const options = question?.options;
    const isChoice = Array.isArray(options) && options.length > 0 && options.every((one) => one?.value);
    return isChoice && typeof token === "string";
  }

  class EasqQuestion extends HTMLElement {
    static observedAttributes = [...VIEW, "for"];

    #root = this.attachShadow({ mode: "open" });
    #status = make("div", "status", { role: "status", "aria-live": "polite" });
    #panel = null; // while a question is on the screen
    #video;
    #listening = null; // ends the listeners of the page and the video
    #view = 0; // counts views, so that a reply about an earlier one is known
    #unsettled = new Map(); // reports that the service has not acknowledged

    constructor() {
      super();
      if (!sheet) {
        sheet = new CSSStyleSheet();
        sheet.replaceSync(STYLE);
      }
      this.#root.adoptedStyleSheets = [sheet];
      this.#root.append(this.#status);
      this.#begin();
    }

    connectedCallback() {
      this.#listening?.abort();
      this.#listening = new AbortController();
      const { signal } = this.#listening;
      document.addEventListener("visibilitychange", () => this.#seen(), { signal });
      // The video may come after this element, or in the place of an earlier one.
      document.addEventListener("playing", () => this.#watch(), { signal, capture: true });
      addEventListener("pagehide", () => this.#leave(), { signal });
      this.#video = null;
      this.#watch();
    }

    disconnectedCallback() {
      // An element that is only moved is connected again by then.
      queueMicrotask(() => {
        if (this.isConnected) return;
        this.#listening.abort();
        this.#running = false;
        clearInterval(this.#polling);
        this.#end("ignored");
      });
    }

    attributeChangedCallback(name, before, after) {
      if (before === after) return;
      if (name !== "for") this.#begin();
      if (this.isConnected) this.#watch();
    }

    /** Say how long the viewer has watched: milliseconds of playing, and which share of the video (0 to 1). */
    progress(playMs, ratio = 0) {
      this.#playMs = Math.max(this.#playMs, Number(playMs) || 0);
      this.#ratio = Math.max(this.#ratio, Number(ratio) || 0);
      this.#consider();
    }

    // The view: how much of it was watched.

    #playMs = 0;
    #ratio = 0;
    #watchedMs = 0; // in the video's own time
    #running = false; // whether the video plays since the last look
    #lookedAt = 0;
    #rate = 1;
    #hasAsked = false;
    #waiting = null; // an offer that came while its question could not be seen
    #polling = 0;

    #begin() {
      this.#end("ignored");
      this.#view += 1;
      this.#playMs = this.#ratio = this.#watchedMs = 0;
      this.#lookedAt = performance.now();
      this.#hasAsked = false;
      this.#waiting = null;
    }

    #watch() {
      const id = this.getAttribute("for");
      const video = id ? this.getRootNode().getElementById?.(id) : this.parentNode?.querySelector?.("video");
      if (!video || video === this.#video || !this.#listening) return;
      this.#video = video;
      const look = () => this.#video === video && this.#look();
      for (const type of MEDIA) video.addEventListener(type, look, { signal: this.#listening.signal });
      this.#look();
    }

    #look() {
      const video = this.#video;
      const now = performance.now();
      if (this.#running) {
        const passed = Math.min(now - this.#lookedAt, LONGEST_LOOK_MS);
        this.#playMs += passed;
        this.#watchedMs += passed * this.#rate;
        const lengthMs = 1000 * (Number(this.getAttribute("duration")) || video.duration);
        if (lengthMs > 0) this.#ratio = Math.max(this.#ratio, Math.min(1, this.#watchedMs / lengthMs));
      }
      this.#lookedAt = now;
      this.#rate = video.playbackRate;
      const halted = video.paused || video.ended || video.seeking || video.readyState < 3;
      this.#running = !halted && !document.hidden;
      this.#consider();
    }

    #seen() {
      if (this.#video) this.#look();
      if (document.hidden) clearTimeout(this.#fading);
      else if (!this.#waiting) this.#fade();
      else if (canBeSeen(this, MIDDLE_PX)) this.#show(this.#waiting);
      if (!this.#waiting) clearInterval(this.#polling);
    }

    // The offer, once for each view.

    #consider() {
      if (this.#hasAsked || !this.isConnected || document.hidden) return;
      if (this.#playMs < RULE.min_play_ms && this.#ratio < RULE.min_ratio) return;
      if (!VIEW.every((name) => this.getAttribute(name))) return;
      this.#hasAsked = true;
      this.#ask();
    }

    async #ask() {
      const view = this.#view;
      const offer = await this.#offer().catch(() => null);
      if (view !== this.#view || !this.isConnected || !offer) return;
      const show = Boolean(offer.show && isWhole(offer));
      const names = Object.fromEntries(VIEW.map((name) => [name, this.getAttribute(name)]));
      this.#fire("offer", names, { show, reason: String(offer.reason ?? "") });
      if (!show) return;
      offer.view = names;
      if (canBeSeen(this, MIDDLE_PX)) return this.#show(offer);
      this.#waiting = offer;
      clearInterval(this.#polling);
      this.#polling = setInterval(() => this.#seen(), SEEN_MS);
    }

    async #offer() {
      const [user_id, request_id, item_id] = VIEW.map((name) => this.getAttribute(name));
      const body = { user_id, request_id, item_id, play_ms: Math.round(this.#playMs), ratio: Math.min(1, this.#ratio) };
      body.locale = this.closest("[lang]")?.lang || navigator.language;
      const session = this.getAttribute("session");
      if (session) body.session_id = session;
      const reply = await this.#post("offer", body, OFFER_WAIT_MS);
      return reply.ok ? reply.json() : null;
    }

    // The question on the screen.

    #offered = null;
    #shownAt = 0;
    #fading = 0;
    #from = null; // what had the focus before the question

    #show(offer) {
      this.#waiting = null;
      this.#offered = offer;
      const { question } = offer;
      const words = WORDS[/^zh/i.test(offer.locale) ? "zh" : "en"];
      const panel = make("div", "panel", { role: "group", "aria-labelledby": "text", dir: "auto" });
      if (offer.locale) panel.lang = this.#status.lang = offer.locale;
      const head = make("div", "head");
      const text = make("p", "text", { id: "text" }, question.text || words[question.name] || words.satisfaction);
      const close = make("button", "close", { type: "button", "aria-label": words.close }, "×");
      const options = make("div", "options");
      for (const { value, label } of question.options) {
        const button = make("button", "option", { type: "button", tabindex: "-1" }, label || words[value] || value);
        button.addEventListener("click", () => this.#answer(value, button, question.thanks || words.thanks));
        options.append(button);
      }
      options.firstChild.tabIndex = 0;
      close.addEventListener("click", () => this.#end("dismiss"));
      // The player must not take a tap or a key on the question for one of its own.
      for (const type of KEPT) panel.addEventListener(type, (event) => event.stopPropagation(), { passive: true });
      panel.addEventListener("keydown", (event) => this.#key(event, options));
      panel.addEventListener("focusin", (event) => {
        this.#fade();
        if (!panel.contains(event.relatedTarget)) this.#from = event.relatedTarget;
      });
      panel.addEventListener("focusout", () => this.#fade());
      panel.classList.toggle("lifted", Boolean(this.#video?.controls));
      head.append(text);
      panel.append(head, options, close);
      this.#panel?.remove(); // an earlier one that is still saying thanks
      this.#root.append((this.#panel = panel));
      this.#status.textContent = text.textContent;
      panel.getBoundingClientRect(); // so that it is drawn once without .in, and moves
      panel.classList.add("in");
      this.#shownAt = performance.now();
      this.#fade();
      this.#report("shown", { token: offer.token });
      this.#fire("shown", offer.view);
    }

    #fade() {
      clearTimeout(this.#fading);
      // Who has come to it with the keyboard is not hurried.
      if (!this.#offered || this.#root.activeElement?.matches(":focus-visible")) return;
      const ms = Number(this.#offered.fade_ms) || FADE_MS;
      this.#fading = setTimeout(() => (canBeSeen(this, MIDDLE_PX) ? this.#end("ignored") : this.#fade()), ms);
    }

    #key(event, options) {
      const buttons = [...options.children];
      const at = buttons.indexOf(this.#root.activeElement);
      const isRtl = getComputedStyle(options).direction === "rtl";
      const steps = { ArrowDown: 1, ArrowUp: -1, ArrowRight: isRtl ? -1 : 1, ArrowLeft: isRtl ? 1 : -1 };
      if (event.key === "Escape") {
        this.#end("dismiss");
      } else if (event.key in steps) {
        const next = buttons[Math.max(0, Math.min(buttons.length - 1, at + steps[event.key]))];
        for (const button of buttons) button.tabIndex = button === next ? 0 : -1;
        next.focus();
      } else {
        return;
      }
      event.preventDefault();
    }

    #answer(option, button, thanks) {
      const panel = this.#panel;
      const offer = this.#close();
      if (!offer) return; // the second tap of two
      button.classList.add("chosen");
      this.#report("answer", { token: offer.token, option, took_ms: this.#tookMs() });
      this.#status.textContent = thanks;
      panel.firstChild.append(make("p", "thanks", { "aria-hidden": "true" }, thanks));
      panel.classList.add("answered");
      this.#fire("answer", offer.view, { question: offer.question.name, option });
      setTimeout(() => this.#remove(panel), THANKS_MS);
    }

    /** End an open question without an answer, as `dismiss` or `ignored`. */
    #end(how) {
      const panel = this.#panel;
      const offer = this.#close();
      if (!offer) return;
      const report = { token: offer.token, took_ms: this.#tookMs() };
      if (how === "ignored") this.#beacon(how, report);
      else this.#report(how, report);
      this.#status.textContent = "";
      this.#fire(how, offer.view);
      this.#remove(panel);
    }

    /** Take no more taps; return the offer that was open, if one was. */
    #close() {
      const offer = this.#offered;
      if (!offer) return null;
      this.#offered = null;
      clearTimeout(this.#fading);
      // The panel still takes taps while it goes, so that the second of two does not reach the player.
      const focused = this.#root.activeElement;
      focused?.blur();
      if (focused && this.#from?.isConnected) this.#from.focus({ preventScroll: true });
      this.#from = null;
      return offer;
    }

    #remove(panel) {
      panel.classList.remove("in");
      setTimeout(() => panel.remove(), LEAVE_MS);
    }

    #tookMs = () => Math.round(performance.now() - this.#shownAt);

    // Reports to the service. It counts each once, so whatever may have been lost is sent again.

    #leave() {
      for (const [verb, report] of this.#unsettled.values()) this.#beacon(verb, report);
      this.#end("ignored");
    }

    async #report(verb, report) {
      const id = verb + report.token;
      this.#unsettled.set(id, [verb, report]);
      for (const pauseMs of [...PAUSES_MS, 0]) {
        const reply = await this.#post(verb, report, REPORT_WAIT_MS).catch(() => null);
        if (reply && reply.status < 500 && reply.status !== 429) break;
        await new Promise((done) => setTimeout(done, pauseMs));
      }
      this.#unsettled.delete(id);
    }

    async #post(verb, body, waitMs) {
      const headers = { "content-type": "application/json" };
      const key = this.getAttribute("key");
      if (key) headers.authorization = `Bearer ${key}`;
      const call = { method: "POST", headers, body: JSON.stringify(body), credentials: "omit", keepalive: true };
      return fetch(this.#url(verb), { ...call, signal: AbortSignal.timeout(waitMs) });
    }

    /** Send what must survive the page. As text, which needs no question of the browser's beforehand. */
    #beacon(verb, report) {
      const key = this.getAttribute("key") || undefined; // which is left out
      navigator.sendBeacon(this.#url(verb), JSON.stringify({ ...report, key }));
    }

    #url(verb) {
      return `${(this.getAttribute("service") || home).replace(/\/$/, "")}/v1/questionnaire/${verb}`;
    }

    #fire(name, view, more = {}) {
      this.dispatchEvent(new CustomEvent(`easq-${name}`, { detail: { ...view, ...more }, bubbles: true, composed: true }));
    }
  }

  if (!customElements.get("easq-question")) customElements.define("easq-question", EasqQuestion);
})();
