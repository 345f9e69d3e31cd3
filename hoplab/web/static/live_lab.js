// SPDX-License-Identifier: Apache-2.0
// A lab that runs, in the player's map, list and story. While it is live, the clock stands at the
// end of what came, and goes on when more comes; paused, what came is a run like any other, and
// the lab goes on meanwhile.
import { h, put } from "./dom.js";
import { Player } from "./app.js";
import { Timeline } from "./timeline.js";
import { inLanguage } from "./live_acts.js";
import { limitsOf } from "./live_model.js";

const EVERY_MS = 300; // between two scenes of what came
const TOLD_MS = 400; // between two sums in words
const AT_ONCE = 120; // moments that are too many to be flown one after the other
const FEW = 40; // of these again so few that they can
const WITHIN_S = 1.5; // in which what came is flown
const FASTEST = 30,
  SLOWEST = 1.2; // moments a second
const MOST_LINES = 60; // of the story

const number = (value) => Math.round(value).toLocaleString("en");

export class LiveLab extends Player {
  // options.live: the model; options.acts: what can be done; options.panels: more panels by name,
  // each made by a function of the speaker.
  constructor(root, options) {
    super(root, [options.live.store.scene()], {
      ...options,
      map: { touchable: true, states: options.live.cableStates },
    });
    this.cable = null; // its two ports, where one is chosen
    this.node = -1;
    this.map.choose(-1);
    if (options.panels.do) this.showTab("do");
    this.resume();
  }

  get live() {
    return this.options.live;
  }

  // Whether what comes is shown as it comes.
  get atEnd() {
    return this.clock.waits;
  }

  // ---- the clock

  resume() {
    const { clock } = this;
    clock.only = null;
    this.following = -1;
    this.renew();
    clock.at = clock.end;
    clock.waits = true;
    clock.until = null;
    clock.play();
  }

  toggle() {
    if (!this.atEnd && !this.clock.playing && this.clock.at >= this.clock.end) this.resume();
    else super.toggle();
  }

  show() {
    const { live, clock } = this,
      now = performance.now();
    if (this.atEnd) {
      live.settle(now);
      if (live.store.changed && now - (this.renewed ?? 0) > EVERY_MS) this.renew(now);
      this.map.flows = { out: live.rates.out, alone: this.fast };
    } else {
      if (!clock.playing) clock.speed = +this.speed.value;
      this.map.flows = null;
    }
    super.show();
    if (now - (this.summed ?? 0) > TOLD_MS || this.wasAtEnd !== this.atEnd) this.sumUp(now);
  }

  // What came since is there, too. The clock shows what it showed before, or goes on at a speed at
  // which it is soon at the end; what is too much to be flown is summed up.
  renew(now = performance.now()) {
    const { clock, live } = this,
      old = this.scene,
      here = clock.moment;
    this.renewed = now;
    if (this.revision !== undefined && this.revision !== live.revision) return this.remake();
    this.revision = live.revision;
    const scene = live.store.scene();
    const [moment, leg] = [this.inside(old, scene, here), this.legIn(old, scene, this.leg)];
    const part = clock.at - here;
    this.adopt(scene);
    this.leg = leg;
    clock.at = here < 0 ? clock.at : moment < 0 ? 0 : moment + part;
    const behind = clock.end - clock.at;
    this.fast = behind > (this.fast ? FEW : AT_ONCE);
    if (this.fast) clock.at = clock.end;
    clock.speed = Math.min(FASTEST, Math.max(SLOWEST, behind / WITHIN_S));
    live.news = 0;
    this.applyFilter(true);
    this.retell();
    return undefined;
  }

  // Another network: everything is made anew.
  remake() {
    const { live, clock } = this;
    const chosen = this.scene.nodes[this.node]?.name;
    this.revision = live.revision;
    this.adopt(live.store.scene());
    this.leg = -1;
    this.cable = null;
    this.node = this.scene.nodeOf.get(chosen) ?? -1;
    this.build();
    clock.at = clock.end;
    this.placed = null;
    this.afterwards();
  }

  adopt(scene) {
    this.scenes = [scene];
    this.timeline = new Timeline(this.scenes);
    this.clock.end = this.timeline.length;
    this.scrub.max = this.clock.end;
    for (const view of [this.map, this.speaker, this.map.speaker, this.detail, this.sequence])
      view.scene = scene;
    this.sequence.step = undefined;
    this.drawn.place = undefined;
  }

  // A leg of one scene in another one.
  legIn(old, scene, leg) {
    if (leg < 0) return -1;
    const packet = scene.packetOf.get(old.trips.number[old.legs.trip[leg]]);
    if (packet === undefined) return -1;
    const there = scene.trips.first[packet] + leg - old.trips.first[old.legs.trip[leg]];
    return there <= scene.lastLeg[packet] ? there : -1;
  }

  // A moment of one scene in another one.
  inside(old, scene, moment) {
    const leg = this.legIn(old, scene, old.legAt(moment));
    if (leg < 0) return -1;
    const same = (scene.askMoments.get(leg) ?? []).find(
      (each) => scene.kind[each] === old.kind[moment],
    );
    return same ?? scene.momentOf[leg];
  }

  // ---- what is said

  line() {
    const { rates, store } = this.live;
    if (!this.atEnd || (!this.fast && this.clock.at < this.clock.end)) return super.line();
    const silent = this.live.silentFor(performance.now());
    if (silent) return this.speaker.word("starved", { n: number(silent / 1000) });
    if (rates.sum) return this.speaker.word("rate", { n: number(rates.sum) });
    if (!store.packets.size) return this.speaker.word("no_packets_yet");
    return this.speaker.word("quiet_lab");
  }

  tell(moment) {
    super.tell(moment);
    if (this.atEnd) this.where.textContent = this.shownFrames();
  }

  shownFrames() {
    const [n, m] = this.live.shown.map(number);
    return this.speaker.word("shown_frames", { n, m });
  }

  sumUp(now) {
    const { live, speaker } = this;
    this.summed = now;
    if (this.atEnd) {
      this.where.textContent = this.shownFrames();
      this.caption.textContent = this.line();
    }
    if (this.wasAtEnd !== this.atEnd) {
      this.wasAtEnd = this.atEnd;
      this.speed.hidden = this.followButton.hidden = this.atEnd;
      this.liveButton.setAttribute("aria-pressed", String(this.atEnd));
    }
    const said = this.status();
    if (this.chip.textContent !== said) this.chip.textContent = said;
    this.chip.dataset.state = live.dead ? "dead" : this.options.lost() ? "lost" : "";
    const news = this.atEnd || !live.news ? "" : speaker.word("new_packets", { n: live.news });
    if (this.newsSays.textContent !== news) this.newsSays.textContent = news;
    this.countPorts();
  }

  // How the lab and the connection are, in a word or a sentence.
  status() {
    const { live, speaker } = this;
    if (live.dead) return `${speaker.word("ended_lab")}: ${inLanguage(live.dead, speaker)}`;
    if (this.options.lost()) return speaker.word("lost_server");
    const trouble = live.trouble ? ` · ${inLanguage(live.trouble, speaker)}` : "";
    return speaker.word(this.atEnd ? "live" : "paused") + trouble;
  }

  // ---- the page

  header() {
    const { speaker, live } = this,
      word = (key) => speaker.word(key);
    const header = super.header();
    this.chip = h("p", { class: "chip", role: "status" });
    const { controller, topology } = live.store.base;
    const told = [live.name, topology, controller].filter(Boolean).join(" · ");
    put(
      header.querySelector(".headline"),
      h("h1", {}, told),
      this.chip,
      live.view ? h("p", { class: "note" }, word("view_only")) : null,
    );
    header.querySelector(".brand").replaceWith(this.options.homeButton(word("labs")));
    this.wasAtEnd = undefined;
    return header;
  }

  printButton() {
    return null;
  }

  moreTransport() {
    this.newsSays = h("span", { class: "says" });
    this.liveButton = h(
      "button",
      { type: "button", class: "follow live", onclick: () => this.resume() },
      this.speaker.word("to_live"),
    );
    this.kept = h("span", { class: "says kept", role: "status" });
    return [this.newsSays, this.liveButton, this.keepButton(), this.kept];
  }

  // The last minutes can be kept as a run, as long as the lab lives.
  keepButton() {
    if (!this.options.keep) return null;
    const button = h(
      "button",
      {
        type: "button",
        class: "follow keep",
        onclick: () => {
          button.disabled = true;
          this.options.keep((answer) => {
            button.disabled = false;
            this.showKept(answer);
          });
        },
      },
      this.speaker.word("keep_this"),
    );
    return button;
  }

  showKept({ run, name, frames, error }) {
    const { speaker } = this;
    if (!run)
      return put(this.kept, inLanguage(error, speaker) || speaker.word("lost_server"));
    return put(
      this.kept,
      `${speaker.word("kept_as", { name, n: number(frames) })} `,
      h(
        "button",
        { type: "button", class: "small", onclick: () => this.options.openRun(run) },
        speaker.word("show_run"),
      ),
    );
  }

  panelsOf() {
    const { panels } = this.options;
    const more = Object.fromEntries(
      Object.entries(panels).map(([name, make]) => [name, ["story", make(this.speaker, this)]]),
    );
    return { ...super.panelsOf(), ...more };
  }

  build() {
    super.build();
    this.placed = null;
    // Who scrolls reads: the list stands still then.
    for (const kind of ["wheel", "touchmove"])
      this.list.element.addEventListener(kind, () => this.clock.pause(), { passive: true });
  }

  speak(language) {
    const { atEnd } = this;
    super.speak(language);
    this.options.spoken(this.scene.languages[language]);
    if (atEnd) this.resume();
  }

  // The last packets, each with what is said of it.
  story() {
    this.stepViews = [];
    this.told = h("ol", { class: "told" });
    this.retold = null;
    this.retell();
    return this.told;
  }

  retell() {
    if (!this.told || (this.panels && this.tab !== "story")) return;
    const root = this.told.getRootNode();
    if (this.told.contains(root.activeElement)) return; // somebody is about to press something
    const { scene, speaker } = this,
      { trips } = scene;
    const select = (kind, value) => this.select(kind, value);
    const from = Math.max(0, scene.packets - MOST_LINES),
      last = trips.number[scene.packets - 1];
    if (this.retold === `${last} ${scene.count}`) return;
    this.retold = `${last} ${scene.count}`;
    const atEnd = this.readsEnd();
    const items = [];
    for (let packet = from; packet < scene.packets; packet++) {
      const said = [
        trips.cause[packet] ? speaker.wordNodes("why", {
          cause: h("span", {}, speaker.nodes(trips.cause[packet], select)),
        }) : null,
        ...trips.notes[packet].map((note) => speaker.nodes(note, select)),
      ].filter(Boolean);
      items.push(
        h(
          "li",
          {},
          h(
            "button",
            { type: "button", class: "pick", onclick: () => this.choosePacket(packet) },
            `#${trips.number[packet]} ${speaker.text(trips.title[packet])}`,
          ),
          said.map((text) => h("p", { class: "why" }, text)),
          trips.ended[packet]
            ? h("p", { class: "bad" }, "✗ ", speaker.nodes(trips.ended[packet], select))
            : null,
        ),
      );
    }
    put(this.told, items);
    const panel = this.panels?.story;
    if (panel && atEnd) panel.scrollTop = panel.scrollHeight;
  }

  readsEnd() {
    const panel = this.panels?.story;
    return !panel || panel.scrollTop + panel.clientHeight >= panel.scrollHeight - 60;
  }

  showTab(name) {
    super.showTab(name);
    this.options.tablesView?.()?.seen(name === "tables");
    this.retell();
  }

  // A packet by its number; false if it is not kept any more.
  showPacket(wanted) {
    const packet = this.scene.packetOf.get(wanted);
    if (packet === undefined) return false;
    this.clock.pause();
    this.choosePacket(packet);
    return true;
  }

  // ---- a node, or a cable

  select(kind, value) {
    if (kind === "cable") {
      this.cable = value;
      this.node = -1;
      this.map.choose(-1);
      this.afterwards();
    } else if (kind === "node") {
      const node = this.scene.nodeOf.get(value);
      if (node === undefined) return;
      this.cable = null;
      this.node = node;
      this.map.choose(node);
      if (this.tab === "tables") this.options.tablesView?.()?.choose(value);
      this.afterwards();
    } else {
      this.cable = null;
      super.select(kind, value);
    }
  }

  choosePacket(packet) {
    this.cable = null;
    super.choosePacket(packet);
  }

  remember() {} // a packet's number is good as long as this page is

  showDetail() {
    if (this.cable) return this.place(`cable ${this.cable}`, () => this.cablePanel());
    if (this.node >= 0)
      return this.place(`node ${this.node}`, () => this.nodePanel(this.scene.nodes[this.node]));
    this.placed = null;
    if (this.atEnd) return put(this.detail.element);
    const packet = this.leg < 0 ? -1 : this.scene.legs.trip[this.leg];
    const wanted = packet < 0 ? null : this.scene.trips.number[packet];
    if (this.insideOf !== wanted) {
      this.insideOf = wanted;
      this.detail.inside = null;
      if (wanted !== null) this.options.inside(wanted, (inside) => this.opened(wanted, inside));
    }
    return this.detail.show(this.leg);
  }

  opened(packet, inside) {
    if (packet !== this.insideOf) return;
    this.detail.inside = inside;
    if (!this.atEnd && !this.cable && this.node < 0) this.detail.show(this.leg);
  }

  // Made anew only where something of it has changed: somebody may be writing in it.
  place(what, make) {
    const { revision, dead } = this.live;
    const key = [what, this.language, revision, this.cablesSaid(), !dead].join();
    if (this.placed === key) return;
    this.placed = key;
    this.counters = [];
    put(this.detail.element, make());
    this.countPorts();
  }

  cablesSaid() {
    return JSON.stringify([this.live.cables.map((cable) => [
      cable.state, cable.ends.map(limitsOf),
    ]), this.live.state.services]);
  }

  nodePanel({ name }) {
    const node = this.node,
      ports = this.scene.ports
        .map((port, at) => ({ ...port, at }))
        .filter((port) => port.node === node);
    const cables = this.live.cables.filter((cable) => cable.ends.some((end) => end.node === name));
    return [
      this.detail.heading(node),
      this.options.nodeActs(name, this),
      cables.length
        ? h(
            "p",
            { class: "row-of-buttons" },
            h("span", {}, this.speaker.word("cables")),
            cables.map((cable) => {
              const ends = this.live.endsOf(cable);
              return h(
                "button",
                { type: "button", onclick: () => this.select("cable", ends) },
                cable.ends.map((end) => end.interface).join(" ─ "),
              );
            }),
          )
        : null,
      this.counterList(ports.map((port) => port.at)),
      this.detail.interfaces(node),
    ];
  }

  cablePanel() {
    const { speaker } = this,
      cable = this.live.cableAt(...this.cable);
    const names = this.cable.map((port) => this.scene.ports[port]?.name ?? "?");
    return [
      h("h2", {}, names.join(" ─ "), " ", h("small", {}, speaker.word("cable"))),
      cable ? h("p", {}, this.stateOf(cable)) : null,
      cable ? this.options.cableActs(cable, this) : null,
      this.counterList(this.cable),
    ];
  }

  stateOf(cable) {
    const { speaker } = this;
    if (cable.state !== "up") return speaker.word("cut_cable");
    const ends = cable.ends.map((end) => [end.interface, Object.entries(limitsOf(end))]);
    const said = ends
      .filter(([, limits]) => limits.length)
      .map(([name, limits]) =>
        [name, ...limits.map(([limit, value]) => `${limit.replace(/_ms$/, "")} ${value}` +
          (limit.endsWith("_ms") ? " ms" : ""))].join(" "));
    return said.length
      ? `${speaker.word("shaped_cable")}: ${said.join("; ")}`
      : speaker.word("cable_up");
  }

  counterList(ports) {
    const list = h(
      "ul",
      { class: "counters" },
      ports.map((port) => {
        const item = h("li", {});
        this.counters.push([port, item]);
        return item;
      }),
    );
    return list;
  }

  countPorts() {
    for (const [port, item] of this.counters ?? []) {
      const [o, , n] = this.live.rates.totals[port] ?? [0, 0, 0];
      const text = this.speaker.word("port_counts", {
        port: this.scene.ports[port]?.name ?? "?",
        o: number(o),
        n: number(n),
      });
      if (item.textContent !== text) item.textContent = text;
    }
  }

  // ---- something of the lab has changed

  heard(what, message) {
    if (what === "tables") this.options.tablesView?.()?.came(message.node, message.changes);
    if (what === "scene") this.options.tablesView?.()?.seen(this.tab === "tables");
    if (what === "scene" && this.atEnd) this.renew();
    if (what === "cables") {
      this.map.build();
      this.afterwards();
    }
    if (what === "state") this.afterwards();
    if (what === "said") this.sumUp(performance.now());
  }
}
