// SPDX-License-Identifier: Apache-2.0
// One clock, one selection, and the views that show both.
import { h, icon } from "./dom.js";
import { Speaker } from "./texts.js";
import { letters } from "./scene.js";
import { Clock } from "./clock.js";
import { caption } from "./caption.js";
import { NetworkMap } from "./map.js";
import { PacketList } from "./list.js";
import { Detail } from "./detail.js";
import { Sequence } from "./sequence.js";
import { FilterError, compile } from "./filter.js";
import { Timeline } from "./timeline.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16, 64, 256, 2048];
const MOST_IN_STEP = 40; // packets named below a step; the list has them all
const SPOKEN_UP_TO = 1; // moments a second at which each can be read out

// What is remembered from one visit to the next; a page from a file may not be allowed to.
const store = {
  get(key) {
    try {
      return JSON.parse(localStorage.getItem(`hoplab ${key}`));
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(`hoplab ${key}`, JSON.stringify(value));
    } catch {
      /* then not */
    }
  },
};

const count = (value, digits = 0) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

const decoded = (hash) => {
  try {
    return decodeURIComponent(hash);
  } catch {
    return "";
  }
};

export class Player {
  constructor(root, scenes, options) {
    Object.assign(this, { root, scenes, options });
    this.side = 0; // of two runs, the one that story, packets and frame are of
    this.timeline = new Timeline(this.scenes);
    this.clock = new Clock(this.timeline.length);
    this.language = Math.max(0, scenes[0].languages.indexOf(options.language));
    this.leg = -1;
    this.node = -1; // shown instead of a frame, also while the clock goes on
    this.following = -1;
    this.tab = "story";
    this.insides = null;
    this.filterText = "";
    this.clock.hear(() => this.show());
    options.document.addEventListener("keydown", (event) => this.key(event));
    addEventListener("hashchange", () => this.go(location.hash));
    this.drawn = {};
    this.build();
    if (!this.go(location.hash)) this.clock.set(Math.min(1, this.clock.end));
    // Where not one frame left, the reason is in the host's own addresses.
    const host = this.scene.nodeOf.get(this.scene.host);
    if (!this.scene.packets && host !== undefined) this.select("node", this.scene.host);
  }

  get scene() {
    return this.scenes[this.side];
  }

  get map() {
    return this.maps[this.side];
  }

  // The moment of the run in question that is shown now, and the clock's time at which one is over.
  get moment() {
    return Math.ceil(this.timeline.local(this.side, this.clock.at) - 1e-9) - 1;
  }

  timeOf(moment) {
    return this.timeline.place(this.side, moment) + 1;
  }

  // A sentence of three lines makes room for three: the map does not jump with every sentence.
  keepCaptionTall() {
    let wide = 0;
    const { caption: line } = this;
    new ResizeObserver(() => {
      if (line.clientWidth !== wide) line.style.minHeight = "";
      wide = line.clientWidth;
      line.style.minHeight = `${line.offsetHeight}px`;
    }).observe(line);
  }

  // First and last moment of each step of the story.
  bands() {
    const { scene } = this;
    const bands = scene.steps.map((step) => ({ ...step, first: Infinity, last: -1, packets: 0 }));
    for (let packet = 0; packet < scene.packets; packet++) {
      const band = bands[scene.trips.step[packet]];
      if (!band) continue;
      band.packets++;
      for (let leg = scene.trips.first[packet]; leg <= scene.lastLeg[packet]; leg++) {
        const place = this.timeline.place(this.side, scene.momentOf[leg]);
        band.first = Math.min(band.first, place);
        band.last = Math.max(band.last, place);
      }
    }
    return bands;
  }

  // ---- the page, in one language

  build() {
    const { scene, clock } = this;
    this.steps = this.bands();
    const say = (this.speaker = new Speaker(scene, this.language));
    const word = (key, values) => say.word(key, values);
    this.options.host.lang = word("tag");
    const select = (kind, value) => this.select(kind, value);
    this.maps = this.scenes.map(
      (each, side) =>
        new NetworkMap(each, new Speaker(each, this.language), {
          store,
          tools: this.scenes.length > 1 ? 0 : undefined,
          kept: this.maps?.[side],
          ...this.options.map,
          select: (kind, value) => {
            this.turnTo(side);
            this.select(kind, value);
          },
        }),
    );
    this.list = new PacketList(
      scene.packets,
      (packet) => this.row(packet),
      (packet) => this.choosePacket(packet),
      word("packets"),
      (packet) => this.speaker.text(this.scene.trips.title[packet]),
    );
    this.sequence = new Sequence(scene, say, select);
    this.detail = new Detail(scene, say, {
      select,
      copy: (text, button) => this.copy(text, button),
      download: this.options.download,
      captureName: this.options.captureName,
    });
    this.detail.inside = this.insides?.[this.side] ?? null;
    const button = (name, label, keys, act) =>
      h(
        "button",
        {
          type: "button",
          "aria-label": label,
          title: `${label} (${keys})`,
          "aria-keyshortcuts": keys,
          onclick: act,
        },
        icon(name),
      );
    this.playButton = button("play", word("play"), "Space", () => this.toggle());
    this.speed = h(
      "select",
      { "aria-label": word("speed"), onchange: () => this.setSpeed(+this.speed.value) },
      SPEEDS.map((speed) =>
        h("option", { value: speed, selected: speed === clock.speed }, `${speed}×`),
      ),
    );
    this.where = h("span", { class: "where" });
    this.scrub = h("input", {
      type: "range",
      min: 0,
      max: clock.end,
      step: 1,
      value: 0,
      "aria-label": word("scrub"),
      oninput: () => {
        clock.pause();
        clock.set(+this.scrub.value);
      },
    });
    this.followButton = h(
      "button",
      {
        type: "button",
        class: "follow",
        "aria-keyshortcuts": "f",
        "aria-pressed": "false",
        onclick: () => this.follow(),
      },
      word("follow"),
    );
    this.caption = h("p", { class: "caption" });
    this.keepCaptionTall();
    this.announcement = h("p", { class: "hidden", "aria-live": "polite" });
    this.filter = h("input", {
      type: "search",
      placeholder: word("filter"),
      "aria-label": word("filter"),
      spellcheck: "false",
      value: this.filterText,
      oninput: () => this.applyFilter(),
    });
    this.filterSays = h("span", { class: "says", role: "status" });
    const transport = h(
      "div",
      { class: "transport", role: "toolbar", "aria-label": word("play") },
      button("start", word("start"), "Home", () => this.jump(0)),
      button("back", word("back"), "ArrowLeft", () => this.step(-1)),
      this.playButton,
      button("forth", word("forth"), "ArrowRight", () => this.step(1)),
      button("end", word("end"), "End", () => this.jump(clock.end)),
      this.speed,
      this.where,
      this.followButton,
      this.moreTransport(),
    );
    this.cardsButton = this.scenes.some((each) => each.cards.some((card) => card.length))
      ? h(
          "button",
          {
            type: "button",
            class: "follow",
            "aria-pressed": String(this.map.cards),
            onclick: () => this.showCards(),
          },
          word("cards"),
        )
      : null;
    const zooms = h(
      "div",
      { class: "zooms", role: "toolbar", "aria-label": word("map") },
      h(
        "button",
        {
          type: "button",
          title: word("wider"),
          "aria-label": word("wider"),
          onclick: () => this.maps.forEach((map) => map.zoom(1.25)),
        },
        "+",
      ),
      h(
        "button",
        {
          type: "button",
          title: word("smaller"),
          "aria-label": word("smaller"),
          onclick: () => this.maps.forEach((map) => map.zoom(0.8)),
        },
        "\u2212",
      ),
      h(
        "button",
        { type: "button", onclick: () => this.maps.forEach((map) => map.fit()) },
        word("fit"),
      ),
      h("button", { type: "button", onclick: () => this.fullScreen() }, word("whole_screen")),
      this.cardsButton,
    );
    const bands = this.steps
      .filter((band) => band.last >= 0)
      .map((band) => {
        const heading = say.text(band.heading);
        return h(
          "button",
          {
            type: "button",
            class: "band",
            tabindex: "-1",
            title: heading,
            onclick: () => this.playStep(band),
          },
          band.number ? `${band.number} ` : "",
          h("span", {}, heading.split(/[:：]/)[0]),
        );
      });
    this.placeBands(bands);
    this.root.classList.toggle("two", this.maps.length > 1);
    this.root.replaceChildren(
      h(
        "a",
        {
          class: "skip",
          href: "#",
          onclick: (event) => {
            event.preventDefault();
            this.playButton.focus();
          },
        },
        word("skip"),
      ),
      this.header(),
      h(
        "main",
        { class: "stage" },
        h(
          "div",
          { class: "left" },
          h("div", { class: "mapbox" }, this.mapAreas(), zooms),
          this.caption,
          this.announcement,
          transport,
          h(
            "div",
            { class: "scrub" },
            this.scrub,
            h("div", { class: "bands", "aria-hidden": "true" }, bands),
          ),
        ),
        h("div", { class: "right" }, this.tabs(), this.detail.element),
      ),
      this.help(),
    );
    this.applyFilter();
    this.showTab(this.tab);
    this.drawn = {};
  }

  // Buttons beside those of the clock, for whoever has more to show than a run.
  moreTransport() {
    return null;
  }

  // A step's name is as wide as the clock's way to the next step; where that is nothing, it is left
  // out.
  placeBands(bands) {
    const starts = this.steps
      .filter((band) => band.last >= 0)
      .map((band) => band.first / Math.max(1, this.clock.end));
    bands.forEach((made, at) => {
      const next = Math.min(1, ...starts.filter((start) => start > starts[at]));
      made.style.left = `${100 * starts[at]}%`;
      made.style.width = `${100 * (next - starts[at])}%`;
      made.classList.toggle("thin", next - starts[at] < 0.02);
    });
  }

  // One map, or two under one clock, each with the name of its run.
  mapAreas() {
    if (this.maps.length === 1) return this.maps[0].element;
    return this.maps.map((map, side) =>
      h(
        "div",
        { class: "half" },
        h(
          "button",
          {
            type: "button",
            class: "side",
            "aria-pressed": String(side === this.side),
            onclick: () => this.turnTo(side),
          },
          this.scenes[side].called,
        ),
        map.element,
      ),
    );
  }

  // Story, packets and frame of the other run.
  turnTo(side) {
    if (side === this.side) return;
    this.side = side;
    this.leg = this.node = -1;
    if (this.following >= 0) this.follow();
    this.build();
    this.clock.notify();
  }

  header() {
    const { scene, speaker: say } = this,
      word = (key) => say.word(key);
    const languages =
      scene.languages.length > 1
        ? h(
            "select",
            {
              "aria-label": word("language"),
              class: "language",
              onchange: (event) => this.speak(+event.target.value),
            },
            scene.languages.map((code, at) =>
              h(
                "option",
                { value: at, selected: at === this.language, lang: code },
                this.options.languageNames[code] ?? code,
              ),
            ),
          )
        : null;
    const theme = h(
      "button",
      { type: "button", "aria-keyshortcuts": "d", onclick: () => this.theme() },
      this.options.dark() ? word("light") : word("dark"),
    );
    this.themeButton = theme;
    return h(
      "header",
      {},
      h("strong", { class: "brand" }, "hoplab"),
      h(
        "div",
        { class: "headline" },
        h("h1", {}, say.text(scene.title)),
        h(
          "p",
          { class: scene.outcome.ok === false ? "outcome bad" : "outcome ok" },
          `${scene.outcome.mark} `,
          say.nodes(scene.outcome.sentence, (kind, value) => this.select(kind, value)),
        ),
      ),
      languages,
      theme,
      this.printButton(),
      h(
        "button",
        { type: "button", "aria-keyshortcuts": "?", onclick: () => this.helpBox.showModal() },
        word("help"),
      ),
    );
  }

  printButton() {
    const word = this.speaker.word("print");
    return h("button", { type: "button", onclick: () => this.options.print() }, word);
  }

  help() {
    const word = (key) => this.speaker.word(key);
    this.helpBox = h(
      "dialog",
      { "aria-label": word("help") },
      h("h2", {}, word("help")),
      h("p", {}, word("keys")),
      h("form", { method: "dialog" }, h("button", {}, word("close"))),
    );
    return this.helpBox;
  }

  // The panels beside the map, by name: the class of each, and what stands in it.
  panelsOf() {
    return {
      ...(this.scene.comparison ? { comparison: ["story", this.comparison()] } : {}),
      story: ["story", this.story()],
      packets: [
        "",
        [h("div", { class: "filter" }, this.filter, this.filterSays), this.list.element],
      ],
      sequence: ["", this.sequence.element],
    };
  }

  tabs() {
    const contents = Object.entries(this.panelsOf()),
      names = contents.map(([name]) => name);
    this.panels = Object.fromEntries(
      contents.map(([name, [kind, content]]) => [
        name,
        h(
          "section",
          {
            class: `panel ${kind}`,
            id: `panel-${name}`,
            role: "tabpanel",
            "aria-labelledby": `tab-${name}`,
            tabindex: kind === "story" ? "0" : null,
          },
          content,
        ),
      ]),
    );
    this.tabButtons = names.map((name) =>
      h(
        "button",
        {
          type: "button",
          role: "tab",
          id: `tab-${name}`,
          "aria-controls": `panel-${name}`,
          onclick: () => this.showTab(name),
          onkeydown: (event) => {
            const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
            if (!by) return;
            event.stopPropagation();
            event.preventDefault();
            const next = names[(names.indexOf(name) + by + names.length) % names.length];
            this.showTab(next);
            this.tabButtons[names.indexOf(next)].focus();
          },
        },
        this.speaker.word(name),
      ),
    );
    return h(
      "div",
      { class: "tabs" },
      h("div", { role: "tablist", "aria-label": this.speaker.word("story") }, this.tabButtons),
      Object.values(this.panels),
    );
  }

  showTab(name) {
    this.tab = name;
    for (const [key, panel] of Object.entries(this.panels)) panel.hidden = key !== name;
    this.tabButtons.forEach((button) => {
      const chosen = button.id === `tab-${name}`;
      button.setAttribute("aria-selected", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    });
    this.list.paint();
    if (name === "sequence") this.showSequence();
  }

  // What the two runs cost, in numbers, and what each cable carried in both.
  comparison() {
    const { scene, speaker: say } = this,
      { sentences, rows } = scene.comparison;
    const cells = ([name, ...values]) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, say.text(name)),
        values.map((value) => h("td", { class: "figure" }, value)),
      );
    const head = h(
      "tr",
      {},
      h("td", {}),
      this.scenes.map((each) => h("th", { scope: "col" }, each.called)),
    );
    const cables = new Map();
    this.scenes.forEach((each, side) =>
      each.counts.forEach(([a, b, , , forth, back]) => {
        const key = `${a} ─ ${b}`;
        cables.set(key, [...(cables.get(key) ?? []), [side, forth + back]]);
      }),
    );
    const bytes = [...cables].map(([name, sides]) =>
      cells([
        name,
        ...[0, 1].map((side) => (sides.find(([at]) => at === side)?.[1] ?? 0).toLocaleString("en")),
      ]),
    );
    return [
      sentences.map((sentence) => h("p", {}, say.text(sentence))),
      h("table", { class: "plain" }, h("thead", {}, head), h("tbody", {}, rows.map(cells))),
      h("h2", {}, say.word("cable_bytes")),
      h("table", { class: "plain" }, h("thead", {}, head.cloneNode(true)), h("tbody", {}, bytes)),
    ];
  }

  story() {
    const { speaker: say } = this,
      pick = (value) => say.nodes(value, (kind, each) => this.select(kind, each));
    this.stepViews = this.steps.map((band, at) =>
      h(
        "details",
        { class: "step", name: "step" },
        h(
          "summary",
          {},
          band.number ? h("b", { class: "number" }, String(band.number)) : null,
          say.text(band.heading),
          h("small", {}, ` · ${band.packets}`),
        ),
        h("p", { class: "lesson" }, pick(band.lesson)),
        band.remarks.length
          ? h(
              "ul",
              { class: "remarks" },
              band.remarks.map((remark) => h("li", {}, pick(remark))),
            )
          : null,
        h(
          "button",
          { type: "button", onclick: () => this.playStep(band) },
          icon("play"),
          say.word("play_step"),
        ),
        h(
          "ol",
          { class: "packets" },
          this.packetsOf(at).map((packet) =>
            h(
              "li",
              {},
              h(
                "button",
                {
                  type: "button",
                  class: "pick",
                  "data-packet": packet,
                  onclick: () => this.choosePacket(packet),
                },
                `#${this.scene.trips.number[packet]} ${say.text(this.scene.trips.title[packet])}`,
              ),
            ),
          ),
        ),
      ),
    );
    const { alerts, why, distorted, fidelity } = this.scene.outcome;
    const none = this.scene.packets ? null : h("p", { class: "note" }, say.word("no_frames"));
    const [n, m] = this.scene.left_out.map((each) => count(each));
    return [
      alerts.map((alert) => h("p", { class: "bad" }, pick(alert))),
      h("p", { class: distorted ? "bad" : "reason" }, pick(fidelity)),
      why.map((reason) => h("p", { class: "reason" }, pick(reason))),
      none,
      n === "0" ? null : h("p", { class: "bad left-out" }, say.word("left_out", { n, m })),
      this.stepViews,
    ];
  }

  packetsOf(step) {
    const out = [];
    for (let packet = 0; packet < this.scene.packets && out.length < MOST_IN_STEP; packet++) {
      if (this.scene.trips.step[packet] === step) out.push(packet);
    }
    return out;
  }

  row(packet) {
    const { trips } = this.scene,
      family = trips.family[packet];
    const copies = this.scene.lastLeg[packet] - trips.first[packet] + 1 + trips.more[packet];
    return [
      h("b", {}, `#${trips.number[packet]}`),
      h("span", { class: `family ${family}` }, letters(this.scene, packet)),
      h(
        "span",
        { class: "what" },
        trips.ended[packet] ? "✗ " : "",
        this.speaker.text(trips.title[packet]),
      ),
      h(
        "span",
        { class: "count", title: this.speaker.word("frames", { n: copies }) },
        String(copies),
      ),
    ];
  }

  // ---- the clock

  toggle() {
    if (this.clock.playing) this.clock.pause();
    else this.clock.play();
  }

  step(by) {
    this.clock.step(by);
  }

  jump(at) {
    this.clock.pause();
    this.clock.set(at);
  }

  stepPacket(by) {
    const packet = this.packet() + by;
    if (packet >= 0 && packet < this.scene.packets) this.choosePacket(packet);
  }

  stepLesson(by) {
    const bands = this.steps.filter((band) => band.last >= 0);
    const here = bands.findLastIndex((band) => band.first <= this.clock.moment);
    const band = bands[Math.max(0, Math.min(bands.length - 1, here + by))];
    if (band) this.jump(band.first + 1);
  }

  playStep(band) {
    if (band.last < 0) return;
    this.clock.pause();
    this.clock.set(band.first);
    this.clock.play(band.last + 1);
  }

  setSpeed(speed) {
    this.clock.speed = speed;
    this.speed.value = speed;
    this.show();
  }

  faster(by) {
    const at = Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(this.clock.speed) + by));
    this.setSpeed(SPEEDS[at]);
  }

  packet() {
    return this.leg >= 0 ? this.scene.legs.trip[this.leg] : -1;
  }

  follow() {
    const packet = this.packet();
    this.following = this.following >= 0 ? -1 : packet;
    if (this.following < 0) this.clock.only = null;
    else {
      const moments = new Set();
      for (let moment = 0; moment < this.scene.moments; moment++)
        if (this.scene.packetAt(moment) === packet)
          moments.add(this.timeline.place(this.side, moment));
      this.clock.only = [...moments];
      this.jump(this.clock.only[0] + 1);
    }
    this.followButton.setAttribute("aria-pressed", String(this.following >= 0));
    this.followButton.textContent = this.speaker.word(this.following >= 0 ? "unfollow" : "follow");
  }

  // ---- what is shown at this time

  show() {
    const { clock, scene } = this,
      { moment } = this;
    this.maps.forEach((map, side) => {
      map.speed = clock.playing ? clock.speed : 0;
      map.draw(this.timeline.local(side, clock.at));
    });
    if (this.drawn.playing !== clock.playing) {
      this.drawn.playing = clock.playing;
      const word = this.speaker.word(clock.playing ? "pause" : "play");
      this.playButton.replaceChildren(icon(clock.playing ? "pause" : "play"));
      this.playButton.setAttribute("aria-label", word);
    }
    const now = performance.now();
    if (!clock.playing || now - (this.drawn.scrubbed ?? 0) > 200) {
      this.drawn.scrubbed = now;
      this.scrub.value = Math.round(clock.at);
    }
    if (this.drawn.place === clock.moment && this.drawn.settled === !clock.playing) return;
    const slow = !clock.playing || clock.speed <= 8;
    if (!slow && now - (this.drawn.told ?? 0) < 250) return;
    this.drawn.told = now;
    this.drawn.place = clock.moment;
    this.drawn.settled = !clock.playing;
    this.tell(moment);
    const leg = scene.legAt(moment);
    if (
      leg >= 0 &&
      (this.leg < 0 || scene.momentOf[this.leg] !== moment || scene.legAt(moment) === leg)
    )
      this.choose(this.chosenLeg(moment, leg));
    if (this.tab === "sequence") this.showSequence();
    this.afterwards();
  }

  // What need not be there before the next picture, and is made once for it, however often the
  // clock was set meanwhile: it measures elements, and the address of a page is slow to change.
  afterwards() {
    if (this.drawn.waiting) return;
    this.drawn.waiting = true;
    requestAnimationFrame(() => {
      this.drawn.waiting = false;
      const { scene, moment } = this,
        packet = scene.packetAt(moment);
      this.list.select(this.packet());
      this.showStep(packet < 0 ? -1 : scene.trips.step[packet], packet);
      this.showDetail(moment);
      if (!this.clock.playing) this.remember(moment);
    });
  }

  showDetail(moment) {
    if (this.node >= 0) this.detail.node(this.node, moment);
    else this.detail.show(this.leg);
  }

  // The step of this moment is open, and its packet marked, unless the reader reads elsewhere.
  showStep(step, packet) {
    this.stepViews.forEach((view, at) => view.classList.toggle("now", at === step));
    if (this.drawn.step !== step && step >= 0 && !this.clock.playing) {
      this.stepViews[step].open = true;
      this.panels.story.scrollTop = Math.max(0, this.stepViews[step].offsetTop - 8);
      this.drawn.step = step;
    }
    this.stepViews[step]?.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const mark = this.stepViews[step]?.querySelector(`[data-packet="${packet}"]`);
    mark?.setAttribute("aria-current", "true");
  }

  // The selected frame stays selected while its moment is shown.
  chosenLeg(moment, leg) {
    return this.leg >= 0 &&
      this.scene.kind[moment] === 0 &&
      this.scene.momentOf[this.leg] === moment
      ? this.leg
      : leg;
  }

  tell(moment) {
    const { scene, clock } = this;
    const line = this.line();
    this.caption.textContent = line;
    const ms = moment >= 0 ? (scene.time[moment] * scene.tick_ns) / 1e6 : 0;
    const gap =
      moment > 0 ? ((scene.time[moment] - scene.time[moment - 1]) * scene.tick_ns) / 1e3 : 0;
    const later =
      gap < 1000
        ? ["time", { us: gap < 10 ? gap.toFixed(1) : gap.toFixed(0) }]
        : ["time_ms", { gap: count(gap / 1e3, 1) }];
    this.where.textContent = [
      this.speaker.word("moment", { k: count(clock.moment + 1), n: count(clock.end) }),
      this.speaker.word(later[0], { ms: count(ms, 3), ...later[1] }),
    ].join(" · ");
    this.scrub.setAttribute("aria-valuetext", `${this.where.textContent}: ${line}`);
    if (!clock.playing || clock.speed <= SPOKEN_UP_TO) this.announcement.textContent = line;
  }

  // The sentence of this moment; of two runs that of each in which something happens.
  line() {
    const { clock } = this;
    if (this.scenes.length === 1) return caption(this.scene, this.speaker, this.moment);
    return this.scenes
      .map((scene, side) => {
        if (!this.timeline.moves(side, clock.moment)) return "";
        const moment = Math.ceil(this.timeline.local(side, clock.at) - 1e-9) - 1;
        return `${scene.called}: ${caption(scene, this.maps[side].speaker, moment)}`;
      })
      .filter(Boolean)
      .join("\n");
  }

  showSequence() {
    const packet = this.scene.packetAt(this.moment);
    this.sequence.show(
      packet < 0 ? (this.scene.steps.length ? 0 : null) : this.scene.trips.step[packet],
    );
    this.sequence.mark(this.scene.membersOf(this.moment));
  }

  // ---- one selection

  choose(leg) {
    this.leg = leg;
    this.map.choose(this.node);
    this.afterwards();
  }

  choosePacket(packet) {
    const leg = this.scene.trips.first[packet];
    if (leg >= this.scene.count || this.scene.legs.trip[leg] !== packet) return;
    this.node = -1;
    this.leg = leg;
    this.jump(this.timeOf(this.scene.momentOf[leg]));
    this.choose(leg);
  }

  select(kind, value) {
    const { scene } = this;
    if (kind === "leg") {
      this.clock.pause();
      this.node = -1;
      this.leg = value;
      if (scene.momentOf[value] !== this.moment) this.clock.set(this.timeOf(scene.momentOf[value]));
      this.choose(value);
    } else if (kind === "packet") {
      const packet = scene.packetOf.get(Number(value));
      if (packet !== undefined) this.choosePacket(packet);
    } else if (kind === "node") {
      const node = scene.nodeOf.get(value);
      if (node === undefined) return;
      this.clock.pause();
      this.node = node;
      this.map.choose(node);
      this.afterwards();
    } else if (kind === "ip" || kind === "mac") {
      this.filterText = this.filter.value = value;
      this.applyFilter();
      this.showTab("packets");
    }
  }

  // "#22@r2": packet 22 where r2 sends it, or else gets it. "#m31": moment 31; "#m31@s1": and s1 is
  // chosen.
  go(hash) {
    const { scene } = this;
    const moment = /^#m(\d+)(?:@(.+))?$/.exec(decoded(hash));
    if (moment) {
      this.node = -1;
      this.jump(Math.min(this.clock.end, Number(moment[1])));
      if (moment[2]) this.select("node", moment[2]);
      return true;
    }
    const place = /^#(\d+)(?:@(.+))?$/.exec(decoded(hash));
    const packet = place ? scene.packetOf.get(Number(place[1])) : undefined;
    if (packet === undefined) return false;
    const node = scene.nodeOf.get(place[2]);
    let leg = -1;
    for (
      let each = scene.trips.first[packet];
      each <= scene.lastLeg[packet] && node !== undefined;
      each++
    ) {
      if (scene.nodeAt(scene.legs.tail[each]) === node) {
        leg = each;
        break;
      }
      if (leg < 0 && scene.nodeAt(scene.legs.head[each]) === node) leg = each;
    }
    if (leg < 0) leg = scene.trips.first[packet];
    if (leg >= scene.count || scene.legs.trip[leg] !== packet) return false;
    this.node = -1;
    this.leg = leg;
    this.jump(this.timeOf(scene.momentOf[leg]));
    this.choose(leg);
    return true;
  }

  remember(moment) {
    const leg = this.leg;
    const { scene, node } = this;
    if (node < 0 && (moment < 0 || leg < 0)) return;
    const number = node < 0 ? scene.trips.number[scene.legs.trip[leg]] : 0;
    const hash =
      node < 0
        ? `#${number}@${scene.nameAt(scene.legs.tail[leg])}`
        : `#m${this.clock.moment + 1}@${scene.nodes[node].name}`;
    try {
      history.replaceState(null, "", hash);
    } catch {
      /* a page that may not */
    }
  }

  applyFilter(grown = false) {
    const { scene } = this;
    this.filterText = this.filter.value;
    const all = Array.from({ length: scene.packets }, (_, packet) => packet);
    try {
      const test = compile(this.filterText, scene, (packet) =>
        this.speaker.text(scene.trips.title[packet]),
      );
      const shown = all.filter(test);
      this.list[grown ? "grow" : "show"](shown);
      this.filterSays.textContent = this.filterText.trim()
        ? this.speaker.word("shown", { n: shown.length, m: all.length })
        : "";
      this.filter.removeAttribute("aria-invalid");
    } catch (error) {
      if (!(error instanceof FilterError)) throw error;
      this.filterSays.textContent = this.speaker.word("filter_bad", { word: error.word });
      this.filterSays.dataset.word = error.word;
      this.filter.setAttribute("aria-invalid", "true");
    }
  }

  // ---- comfort

  speak(language) {
    if (!(language in this.scene.languages)) return;
    this.clock.pause();
    const open = this.stepViews.findIndex((view) => view.open);
    this.language = language;
    this.build();
    if (open >= 0) this.stepViews[open].open = true;
    this.clock.notify();
    this.afterwards();
  }

  theme() {
    this.options.turn();
    this.themeButton.textContent = this.speaker.word(this.options.dark() ? "light" : "dark");
    for (const map of this.maps) map.paint();
    this.clock.notify();
  }

  // The flows of a switch beside it, or not, on every map.
  showCards() {
    const shown = !this.map.cards;
    store.set("cards", shown);
    for (const map of this.maps) map.cards = shown;
    this.cardsButton.setAttribute("aria-pressed", String(shown));
    this.clock.notify();
  }

  fullScreen() {
    const element = this.map.element.closest(".mapbox");
    if (this.options.document.fullscreenElement) this.options.document.exitFullscreen();
    else element.requestFullscreen?.();
  }

  copy(text, button) {
    const done = () => {
      button.textContent = this.speaker.word("copied");
    };
    if (navigator.clipboard)
      navigator.clipboard.writeText(text).then(done, () => this.copyByHand(text, done));
    else this.copyByHand(text, done);
  }

  copyByHand(text, done) {
    const area = h("textarea", { class: "hidden" }, text);
    this.root.append(area);
    area.select();
    if (this.options.document.execCommand("copy")) done();
    area.remove();
  }

  key(event) {
    if (
      this.options.host.hidden ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      this.helpBox.open
    )
      return;
    const target = event.composedPath()[0];
    if (event.key === "Escape" && target === this.filter) {
      target.blur();
      return;
    }
    if (
      /^(TEXTAREA|SELECT)$/.test(target.tagName) ||
      (target.tagName === "INPUT" && target !== this.scrub)
    )
      return;
    const onControl = /^(BUTTON|SUMMARY|A)$/.test(target.tagName);
    const act = {
      " ": onControl ? null : () => this.toggle(),
      ArrowRight: () => (event.shiftKey ? this.stepPacket(1) : this.step(1)),
      ArrowLeft: () => (event.shiftKey ? this.stepPacket(-1) : this.step(-1)),
      "[": () => this.stepLesson(-1),
      "]": () => this.stepLesson(1),
      "+": () => this.faster(1),
      "=": () => this.faster(1),
      "-": () => this.faster(-1),
      Home: () => this.jump(0),
      End: () => this.jump(this.clock.end),
      f: () => this.follow(),
      d: () => this.theme(),
      "?": () => this.helpBox.showModal(),
      l: () => this.speak((this.language + 1) % this.scene.languages.length),
      "/": () => {
        this.showTab("packets");
        this.filter.focus();
      },
    }[event.key];
    const band =
      /^[1-9]$/.test(event.key) &&
      this.steps.find((each) => each.number === Number(event.key) && each.last >= 0);
    if (!act && !band) return;
    event.preventDefault();
    if (act) act();
    else this.jump(band.first + 1);
  }
}
