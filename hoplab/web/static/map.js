// SPDX-License-Identifier: Apache-2.0
// The network, and what flies in it. Nodes and cables are an SVG that stands still; frames are
// drawn on a canvas above it. `draw(at)` is a pure function of the clock's time.
import { h, put, s } from "./dom.js";
import { ownerOf } from "./caption.js";
import { decidedAt, drawCard, edge } from "./flowcard.js";
import {
  ARRIVED,
  ASK,
  CARD,
  COUNTED,
  CUT,
  ENDED,
  FRAMES,
  IGNORED,
  LOST,
  SOFTWARE,
  UNSEEN,
  VANISHED,
  bezier,
  letters,
} from "./scene.js";

const MANY = 60; // copies of a frame above which they are squares
const SPELLED = 12; // copies up to which the fate of each is told in words
const FLIGHT = 0.78; // of a moment a frame flies; in the rest it shows what became of it
const TOO_FAST = 30; // moments a second above which cables show sums
const FONT =
  'system-ui, "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif';
const WIDE = 1600; // of a screen on which text is read from afar
const TEXT = 13; // units of the map
const LONGEST_NAME = 24; // letters; hoplab/web/geometry.py makes boxes as wide
const TALL = 10.5; // half of a card's height
const TOOLS = 40; // pixels at the lower edge, for the buttons
const MOST_RATES = 60; // cables up to which rates are written beside them
const PASSAGE_MS = 1400; // an arrow's way along a cable
const ABOVE = [-15, -31, 31, 47, -47, 63],
  BELOW = [25, 41, -17, 57, -33, 73]; // lines beside a card
const FATES = [
  [LOST, "lost", "✗"],
  [UNSEEN, "unseen", "?"],
  [CUT, "cut", "…"],
  [CARD, "card", "○"],
  [SOFTWARE, "software", "○"],
  [ARRIVED, "got", "✓"],
  [ENDED, "stopped", "✗"],
  [COUNTED, "counted", "…"],
];

function shortened(name) {
  const letters = Array.from(name);
  if (letters.length <= LONGEST_NAME) return name;
  return `${letters.slice(0, LONGEST_NAME - 1).join("")}…`;
}

// A cable by its two ports, in whichever order.
export const cableKey = (a, b) => `${Math.min(a, b)} ${Math.max(a, b)}`;

export class NetworkMap {
  // tools: pixels at the lower edge on which nothing is drawn at first. kept: the map that stood
  // here before, in another language; the part of it that its reader chose is kept.
  // touchable: whether a cable can be selected.
  constructor(
    scene,
    speaker,
    { store, select, tools = TOOLS, kept = null, touchable = false, states = new Map() },
  ) {
    Object.assign(this, { scene, speaker, store, select, tools, kept, touchable, states });
    this.flows = null; // frames a second that leave each port, where they are shown
    this.own = false; // whether the reader has chosen this part of the map
    this.level = 0;
    this.view = { k: 1, x: 0, y: 0 };
    this.moved = new Map(); // by name: a node may be called "__proto__"
    this.hits = [];
    this.at = 0;
    this.speed = 0;
    this.packet = -1; // that of the moment that is drawn
    this.textSize = TEXT;
    this.font = FONT;
    this.cards = store.get("cards") !== false; // whether a switch's flows are shown beside it
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.world = s("g");
    this.svg = s(
      "svg",
      { class: "net", role: "group", "aria-label": speaker.word("map") },
      this.world,
    );
    this.canvas = h("canvas", { class: "flight", "aria-hidden": "true" });
    this.pen = this.canvas.getContext("2d");
    this.element = h("div", { class: "map" }, this.svg, this.canvas);
    this.pointer();
    new ResizeObserver(() => (this.own ? this.resize() : this.fit())).observe(this.element);
  }

  get plan() {
    return this.scene.maps[this.level];
  }

  // The most detailed map whose text can be read here; a small part of it if not even names fit.
  fit() {
    const width = this.element.clientWidth,
      height = this.element.clientHeight - this.tools;
    if (width <= 0 || height <= 0) return;
    this.own = false;
    const least = (innerWidth >= WIDE ? 14 : 11) / TEXT;
    const scale = (level) =>
      Math.min(width / this.scene.maps[level].width, height / this.scene.maps[level].height, 1.9);
    let level = this.scene.maps.length - 1;
    while (level > 0 && scale(level) < least) level--;
    this.level = level;
    const k = Math.max(scale(level), least);
    const { width: w, height: t } = this.plan;
    this.view = { k, x: Math.max(0, (width - w * k) / 2), y: Math.max(0, (height - t * k) / 2) };
    this.home = this.view; // where the map stands as long as the reader does not move it
    this.overflows = w * k > width + 1 || t * k > height + 1;
    this.moved = this.remembered();
    this.paint();
    this.build();
    if (this.kept?.own) Object.assign(this, { own: true, view: this.kept.view });
    this.kept = null;
    this.resize();
  }

  // Another window, the same part of the map.
  resize() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (width <= 0 || height <= 0) return;
    this.ratio = Math.min(2, devicePixelRatio || 1);
    this.canvas.width = Math.round(width * this.ratio);
    this.canvas.height = Math.round(height * this.ratio);
    this.place();
    this.draw(this.at);
  }

  get storedAs() {
    return `map ${this.scene.topology} ${this.level}`;
  }

  // How far nodes were dragged; whatever else is kept under this name is not ours.
  remembered() {
    const kept = this.store.get(this.storedAs);
    const fits = (way) => Array.isArray(way) && way.length === 2 && way.every(Number.isFinite);
    return new Map((Array.isArray(kept) ? kept : []).filter((pair) => fits(pair?.[1])));
  }

  zoom(factor, x = this.element.clientWidth / 2, y = this.element.clientHeight / 2) {
    const k = Math.max(0.2, Math.min(6, this.view.k * factor)),
      turn = k / this.view.k;
    this.view = { k, x: x - (x - this.view.x) * turn, y: y - (y - this.view.y) * turn };
    this.own = true;
    this.place();
    this.draw(this.at);
  }

  paint() {
    const style = getComputedStyle(this.element);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.colours = Object.fromEntries(
      [
        "arp",
        "dns",
        "tcp",
        "http",
        "icmp",
        "other",
        "card",
        "ink",
        "muted",
        "ok",
        "bad",
        "warn",
        "line",
      ].map((name) => [name, colour(name)]),
    );
  }

  place() {
    const { k, x, y } = this.view;
    this.world.setAttribute("transform", `translate(${x} ${y}) scale(${k})`);
  }

  // ---- what stands still

  box(node) {
    const [x, y, width, height, lines, plain] = this.plan.boxes[node];
    const [dx, dy] = this.moved.get(this.scene.nodes[node].name) ?? [0, 0];
    return { x: x + dx, y: y + dy, width, height, lines, plain };
  }

  build() {
    this.cardPlace = null;
    this.curves = new Map(); // "port port" -> [curve, backwards]
    const cables = this.plan.cables.map((cable) => {
      const [a, b, ...curve] = cable;
      const shift = (port) => this.moved.get(this.scene.nameAt(port)) ?? [0, 0];
      const [ax, ay] = shift(a),
        [bx, by] = shift(b);
      const moved = curve.map((value, at) => value + (at < 4 ? [ax, ay] : [bx, by])[at % 2]);
      this.curves.set(a * 65536 + b, [moved, false]);
      this.curves.set(b * 65536 + a, [moved, true]);
      const [x1, y1, x2, y2, x3, y3, x4, y4] = moved.map((value) => value.toFixed(1));
      const d = `M${x1} ${y1}C${x2} ${y2} ${x3} ${y3} ${x4} ${y4}`;
      const state = this.states.get(cableKey(a, b)) ?? "";
      const drawn = s("path", { class: `cable ${state}`.trim(), d });
      if (!this.touchable) return drawn;
      return [drawn, s("path", { class: "grip", d, "data-cable": `${a} ${b}` })];
    });
    const labels = this.level ? this.plan.cables.flatMap(([a, b]) => this.portNames(a, b)) : [];
    const boxes = this.scene.nodes.map((node, place) => this.node(node, place));
    // What a text beside a frame may not cover: boxes, and, if there is room, the names of ports.
    this.walls = this.scene.nodes.map((_, place) => {
      const { x, y, width, height } = this.box(place);
      return [x - width / 2, y - height / 2, x + width / 2, y + height / 2];
    });
    if (this.plan.controller) {
      const [x, y] = this.plan.controller;
      this.walls.push([x - 90, y - 22, x + 90, y + 22]);
    }
    this.signs = labels.map((label) => {
      const x = +label.getAttribute("x"),
        y = +label.getAttribute("y"),
        wide = label.textContent.length * 8;
      const left = label.getAttribute("text-anchor") === "end" ? x - wide : x;
      return [left, y - 11, left + wide, y + 2];
    });
    put(
      this.world,
      s("g", {}, cables),
      s("g", { class: "boxes" }, boxes),
      s("g", { class: "ports" }, labels),
      this.controllerBox(),
    );
  }

  portNames(a, b) {
    const [curve] = this.curves.get(a * 65536 + b);
    return [
      [a, 0, 2],
      [b, 6, 4],
    ].flatMap(([port, end, pull]) => {
      const { name, node, port: number } = this.scene.ports[port];
      const many = this.scene.ports.filter((each) => each.node === node).length;
      if (many < 2 || many > 9) return [];
      const kind = this.scene.nodes[node].kind;
      const label =
        kind === "switch" || kind === "hub"
          ? String(number ?? "")
          : name.replace(`${this.scene.nodes[node].name}-`, "");
      const side = Math.sign(curve[pull] - curve[end]) || 1;
      const down = curve[pull] === curve[end] && curve[pull + 1] > curve[end + 1];
      return s(
        "text",
        {
          x: curve[end] + side * 5,
          y: curve[end + 1] + (down ? 13 : -4),
          "text-anchor": side > 0 ? "start" : "end",
          class: "port",
        },
        label,
      );
    });
  }

  node(node, place) {
    const { x, y, width, height, lines, plain } = this.box(place);
    const word = this.speaker.word(`node_kind_${node.kind}`);
    const left = x - width / 2,
      top = y - height / 2;
    const texts = [
      [shortened(node.name), "name"],
      ...(node.kind === "host" || plain ? [] : [[word, "kind"]]),
      ...lines.map((line) => [line, "line"]),
    ];
    const begin = y - ((texts.length - 1) * 16) / 2 + 4.5;
    const label = [...texts.map(([text]) => text), ...(plain ? [word] : [])].join(" ");
    const whole = shortened(node.name) === node.name ? null : s("title", {}, node.name);
    return s(
      "g",
      {
        class: ["node", node.kind, node.serves && "server", this.chosen === place && "chosen"]
          .filter(Boolean)
          .join(" "),
        tabindex: "0",
        role: "button",
        "aria-label": label,
        "data-node": place,
        onkeydown: (event) => {
          if (event.key === "Enter" || event.key === " ") {
            event.preventDefault();
            event.stopPropagation();
            this.select("node", node.name);
          }
        },
      },
      whole,
      this.shape(node, left, top, width, height),
      texts.map(([text, cls], at) =>
        s("text", { x, y: begin + at * 16, class: cls, "text-anchor": "middle" }, text),
      ),
    );
  }

  shape(node, left, top, width, height) {
    const right = left + width,
      bottom = top + height,
      middle = top + height / 2,
      cut = 10;
    if (node.kind === "router") {
      return s("path", {
        class: "shape",
        d:
          `M${left + cut} ${top}H${right - cut}L${right} ${top + cut}V${bottom - cut}` +
          `L${right - cut} ${bottom}H${left + cut}L${left} ${bottom - cut}V${top + cut}Z`,
      });
    }
    if (node.kind === "hub") {
      return [
        s("path", {
          class: "shape",
          d:
            `M${left + cut} ${top}H${right - cut}L${right} ${middle}` +
            `L${right - cut} ${bottom}H${left + cut}L${left} ${middle}Z`,
        }),
        s("path", {
          class: "sign",
          d: `M${left + 20} ${middle}h-9m4 -4l-4 4l4 4M${right - 20} ${middle}h9m-4 -4l4 4l-4 4`,
        }),
      ];
    }
    if (node.kind === "switch") {
      return [
        s("rect", { class: "shape", x: left, y: top, width, height, rx: 2 }),
        s("path", {
          class: "sign",
          d: `M${left + 5} ${top + 3}V${bottom - 3}M${right - 5} ${top + 3}V${bottom - 3}`,
        }),
      ];
    }
    const shapes = [
      s("rect", { class: "shape", x: left, y: top, width, height, rx: node.serves ? 3 : 8 }),
    ];
    if (node.serves)
      shapes.push(
        s("path", {
          class: "sign",
          d: `M${left + 5} ${top + 6}h7M${left + 5} ${top + 10}h7M${left + 5} ${top + 14}h7`,
        }),
      );
    return shapes;
  }

  controllerBox() {
    if (!this.plan.controller) return null;
    const [x, y] = this.plan.controller,
      word = this.speaker.word("controller");
    const whole = this.scene.controller.split("/").pop(),
      name = whole.length > 24 ? `${whole.slice(0, 23)}…` : whole;
    const width = Math.max(word.length * 13 + 24, name.length * 7.5 + 24, 120);
    return s(
      "g",
      { class: "node controller" },
      s("rect", { class: "shape", x: x - width / 2, y: y - 21, width, height: 42, rx: 21 }),
      s("text", { x, y: y - 3, class: "kind", "text-anchor": "middle" }, word),
      s("text", { x, y: y + 14, class: "name", "text-anchor": "middle" }, name),
    );
  }

  choose(node) {
    if (this.chosen === node) return;
    this.chosen = node;
    for (const each of this.world.querySelectorAll("[data-node]"))
      each.classList.toggle("chosen", +each.dataset.node === node);
  }

  // ---- a pointer: nodes are dragged, the ground is moved, a frame or node is selected

  pointer() {
    let grip = null;
    this.element.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      const leg = this.hit(event);
      const group = event.target.closest?.("[data-node]");
      const line = event.target.closest?.("[data-cable]");
      grip = {
        x: event.clientX,
        y: event.clientY,
        leg,
        node: leg < 0 && group ? +group.dataset.node : -1,
        cable: leg < 0 && line ? line.dataset.cable.split(" ").map(Number) : null,
        far: false,
        view: { ...this.view },
      };
      if (grip.node >= 0) grip.from = this.moved.get(this.scene.nodes[grip.node].name) ?? [0, 0];
      this.element.setPointerCapture(event.pointerId);
    });
    this.element.addEventListener("pointermove", (event) => {
      if (!grip) return;
      const dx = event.clientX - grip.x,
        dy = event.clientY - grip.y;
      if (!grip.far && Math.hypot(dx, dy) < 4) return;
      grip.far = true;
      if (grip.node >= 0) {
        const name = this.scene.nodes[grip.node].name;
        const way = [grip.from[0] + dx / this.view.k, grip.from[1] + dy / this.view.k];
        this.moved = new Map([...this.moved, [name, way]]);
        this.build();
      } else {
        this.view = { ...grip.view, x: grip.view.x + dx, y: grip.view.y + dy };
        this.own = true;
        this.place();
      }
      this.draw(this.at);
    });
    this.element.addEventListener("pointerup", () => {
      if (!grip) return;
      const held = grip;
      grip = null;
      if (held.far && held.node >= 0) this.store.set(this.storedAs, [...this.moved]);
      if (held.far) return;
      if (held.leg >= 0) this.select("leg", held.leg);
      else if (held.node >= 0) this.select("node", this.scene.nodes[held.node].name);
      else if (held.cable) this.select("cable", held.cable);
    });
    this.element.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const area = this.element.getBoundingClientRect();
        this.zoom(
          Math.exp(-event.deltaY / 400),
          event.clientX - area.left,
          event.clientY - area.top,
        );
      },
      { passive: false },
    );
  }

  hit(event) {
    const area = this.element.getBoundingClientRect(),
      { k, x, y } = this.view;
    const px = (event.clientX - area.left - x) / k,
      py = (event.clientY - area.top - y) / k;
    for (const [cx, cy, half, tall, leg] of [...this.hits].reverse()) {
      if (Math.abs(px - cx) <= half + 3 && Math.abs(py - cy) <= tall + 3) return leg;
    }
    return -1;
  }

  // ---- what flies

  draw(at) {
    this.at = at;
    if (!this.curves) return undefined; // it has no size yet
    const moment = Math.ceil(at - 1e-9) - 1;
    if (this.speed <= TOO_FAST) this.follow(moment);
    const pen = this.pen,
      { k, x, y } = this.view,
      ratio = this.ratio ?? 1;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.setTransform(k * ratio, 0, 0, k * ratio, x * ratio, y * ratio);
    this.hits = [];
    this.taken = []; // where cards and texts are, at the end of this moment
    if (this.flows) this.flowing(performance.now());
    if (this.flows?.alone) return undefined;
    if (this.speed > TOO_FAST) return this.sums(moment);
    if (moment < 0) return undefined;
    const part = at - moment;
    this.packet = this.scene.packetAt(moment);
    this.trail(moment);
    this.waiting(moment);
    const flies = this.scene.kind[moment] === FRAMES;
    const members = this.scene.membersOf(moment);
    const many = members.length > MANY;
    if (flies && !many) for (const leg of members) this.reserve(leg, members.length);
    this.decision(moment, part);
    if (!flies) this.question(moment, part);
    else if (many) this.swarm(members, part);
    else for (const leg of members) this.flight(leg, part, members.length);
    return undefined;
  }

  // The table, flow and group by which the switch of this moment decides.
  decision(moment, part) {
    this.shownCard = null;
    const decided = this.cards && decidedAt(this.scene, moment);
    const over = part >= FLIGHT || this.still.matches;
    if (decided && (!decided.atEnd || over)) drawCard(this, decided, moment);
  }

  // The corners between which the upper left one of a card of this size can stand.
  inSight(width, height) {
    const { k, x, y } = this.view;
    const right = this.element.clientWidth,
      bottom = this.element.clientHeight - this.tools;
    const low = [(4 - x) / k, (4 - y) / k];
    return [
      low,
      [Math.max(low[0], (right - 4 - x) / k - width), Math.max(low[1], (bottom - y) / k - height)],
    ];
  }

  cable(leg) {
    const { legs } = this.scene;
    return this.curves.get(legs.tail[leg] * 65536 + legs.head[leg]);
  }

  colour(leg) {
    return this.colours[this.family(leg)] || this.colours.other;
  }

  family(leg) {
    return this.scene.trips.family[this.scene.legs.trip[leg]];
  }

  progress(part) {
    if (this.still.matches) return 1;
    const gone = Math.min(1, part / FLIGHT);
    return gone < 0.5 ? 2 * gone * gone : 1 - 2 * (1 - gone) * (1 - gone);
  }

  // The way that the packet of this moment has come so far.
  trail(moment) {
    const { scene, pen } = this,
      packet = scene.packetAt(moment);
    const first = scene.trips.first[packet],
      last = scene.lastLeg[packet];
    if (last - first > 400) return;
    const way = new Path2D();
    for (let leg = first; leg <= last; leg++) {
      if (scene.momentOf[leg] >= moment) continue;
      const cable = this.cable(leg);
      if (!cable) continue;
      const [c] = cable;
      way.moveTo(c[0], c[1]);
      way.bezierCurveTo(c[2], c[3], c[4], c[5], c[6], c[7]);
    }
    pen.strokeStyle = this.colour(first);
    pen.globalAlpha = 0.28;
    pen.lineWidth = 5;
    pen.stroke(way);
    pen.globalAlpha = 1;
  }

  waiting(moment) {
    const stacks = new Map();
    // What is asked about is drawn on its way.
    const asked = this.scene.kind[moment] === FRAMES ? -1 : this.scene.legAt(moment);
    for (const leg of this.scene.waitingAt(moment)) {
      if (leg === asked) continue;
      const node = this.scene.nodeAt(this.scene.legs.head[leg]);
      if (node < 0) continue;
      const height = stacks.get(node) ?? 0;
      stacks.set(node, height + 1);
      if (height > 3) continue;
      const box = this.box(node),
        y = box.y - box.height / 2 - 12 - height * 22,
        half = this.half(leg);
      this.card(leg, box.x, y, { held: true });
      this.taken.push([box.x - half, y - 11, box.x + half, y + 11]);
    }
  }

  // Where a frame comes to rest on its cable.
  rest(leg) {
    const cable = this.cable(leg);
    if (!cable) return null;
    const far = this.scene.legs.flags[leg] & LOST ? 0.55 : this.reach(leg, cable[0]);
    return [...bezier(cable[0], cable[1], far), far];
  }

  reserve(leg, among) {
    const rest = this.rest(leg);
    if (!rest) return;
    const half = among > SPELLED ? 14 : this.half(leg);
    this.taken.push([rest[0] - half, rest[1] - 11, rest[0] + half, rest[1] + 11]);
  }

  flight(leg, part, among) {
    const cable = this.cable(leg);
    if (!cable) return;
    const [curve, backwards] = cable,
      { pen, scene } = this,
      flags = scene.legs.flags[leg];
    const [endX, endY, far] = this.rest(leg);
    const gone = this.progress(part) * far;
    const [px, py] = bezier(curve, backwards, gone);
    pen.strokeStyle = this.colour(leg);
    pen.lineWidth = 3;
    pen.globalAlpha = 0.75;
    pen.setLineDash(flags & IGNORED ? [6, 4] : []);
    pen.beginPath();
    for (let step = 0; step <= 16; step++) {
      const [x, y] = bezier(curve, backwards, (gone * step) / 16);
      if (step) pen.lineTo(x, y);
      else pen.moveTo(x, y);
    }
    pen.stroke();
    pen.setLineDash([]);
    pen.globalAlpha = 1;
    this.card(leg, px, py, { small: among > SPELLED });
    if (among <= SPELLED && (among === 1 || flags & ARRIVED)) this.bears(leg, px, py, endX, endY);
    if (part >= FLIGHT || this.still.matches) this.mark(leg, px, py, among <= SPELLED, endX, endY);
  }

  // Whose MACs a frame bears, and its TTL, in a line that stands to it all the way as at its end.
  bears(leg, x, y, endX, endY) {
    const { scene } = this,
      { legs } = scene;
    if (!legs.ttl[leg]) return;
    const owner = (column) => ownerOf(scene, this.speaker, legs[column][leg]);
    const line = `${owner("src")}→${owner("dst")} · TTL ${legs.ttl[leg]}`;
    const place = this.beside(line, endX, endY, this.half(leg), BELOW, 500);
    if (place) this.outlined(line, x + place[0], y + place[1], this.colours.ink, 500);
  }

  // Where a line of text stands beside a card at x y, so that it covers no box, no card and no
  // other text: the first place that is free, from the card's middle. null if there is none.
  beside(text, x, y, cardHalf, rows, weight = 650) {
    this.pen.font = `${weight} ${TEXT}px ${FONT}`;
    const half = this.pen.measureText(text).width / 2 + 2,
      aside = Math.max(0, half - cardHalf);
    const { width, height } = this.plan;
    const at = (dx, dy) => [x + dx - half, y + dy - 11, x + dx + half, y + dy + 3];
    const over =
      ([left, top, right, bottom]) =>
      (wall) =>
        left < wall[2] && right > wall[0] && top < wall[3] && bottom > wall[1];
    for (const signs of [this.signs, []]) {
      for (const dy of rows) {
        for (const dx of [0, -aside, aside, -half - cardHalf, half + cardHalf]) {
          const place = at(dx, dy),
            covers = over(place);
          if (place[0] < 0 || place[2] > width || place[1] < 0 || place[3] > height + 12) continue;
          if (this.walls.some(covers) || signs.some(covers) || this.taken.some(covers)) continue;
          this.taken.push(place);
          return [dx, dy];
        }
      }
    }
    return null;
  }

  // How far along a cable a card goes, so that it stops in front of the box and not upon it.
  reach(leg, curve, half = this.half(leg)) {
    const across = Math.abs(curve[6] - curve[0]),
      along = Math.abs(curve[7] - curve[1]);
    const upright = curve[0] === curve[2] && curve[4] === curve[6];
    const room = upright ? Math.min(half, TALL) + 6 : half + 2;
    return Math.max(0.5, 1 - room / (upright ? along : Math.hypot(across, along) || 1));
  }

  label(leg) {
    const packet = this.scene.legs.trip[leg];
    return `#${this.scene.trips.number[packet]} ${letters(this.scene, packet)}`;
  }

  half(leg) {
    this.pen.font = `650 ${TEXT}px ${FONT}`;
    return this.pen.measureText(this.label(leg)).width / 2 + 7;
  }

  card(leg, x, y, { held = false, small = false } = {}) {
    const { pen, scene } = this,
      { legs, trips } = scene,
      family = this.family(leg);
    const packet = legs.trip[leg],
      flags = legs.flags[leg];
    const text = small ? String(trips.number[packet]) : this.label(leg);
    pen.font = `650 ${TEXT}px ${FONT}`;
    pen.textAlign = "center";
    const half = pen.measureText(text).width / 2 + 7,
      tall = TALL;
    pen.fillStyle = this.colours.card;
    pen.strokeStyle = this.colours[family];
    pen.lineWidth = packet === this.packet ? 3.5 : 2;
    pen.beginPath();
    pen.roundRect(x - half, y - tall, half * 2, tall * 2, held ? 10 : 4);
    pen.fill();
    if (flags & IGNORED && !held) pen.setLineDash([4, 3]);
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = this.colours[family];
    pen.fillText(text, x, y + 4.5);
    this.hits.push([x, y, half, tall, leg]);
  }

  outlined(text, x, y, colour, weight = 650) {
    const { pen } = this;
    pen.font = `${weight} ${TEXT}px ${FONT}`;
    pen.textAlign = "center";
    pen.lineJoin = "round";
    pen.lineWidth = 4;
    pen.strokeStyle = this.colours.card;
    pen.strokeText(text, x, y);
    pen.fillStyle = colour;
    pen.fillText(text, x, y);
  }

  // How a frame ended where it came to: a sign and a word, and only then a colour.
  mark(leg, x, y, spelled, endX = x, endY = y) {
    const flags = this.scene.legs.flags[leg];
    const fate = FATES.find(([bit]) => flags & bit);
    if (!fate) return;
    const [bit, word, sign] = fate;
    const colour =
      bit & (VANISHED | ENDED)
        ? this.colours.bad
        : bit & (IGNORED | COUNTED)
          ? this.colours.muted
          : this.colours.ok;
    const text = `${sign} ${this.speaker.word(word)}`;
    const place = spelled && this.beside(text, endX, endY, this.half(leg), ABOVE);
    const [dx, dy] = place || [0, -15];
    this.outlined(place ? text : sign, x + dx, y + dy, colour);
  }

  // Many copies: those that are of use as cards, the others as hollow squares; one path each.
  swarm(members, part) {
    const { pen, scene } = this,
      gone = this.progress(part);
    const lines = new Path2D(),
      hollow = new Path2D(),
      full = [];
    for (const leg of members) {
      const cable = this.cable(leg);
      if (!cable) continue;
      const reach = this.reach(leg, cable[0], scene.legs.flags[leg] & IGNORED ? 5 : 13);
      const [a, b] = bezier(cable[0], cable[1], 0),
        [x, y] = bezier(cable[0], cable[1], gone * reach);
      lines.moveTo(a, b);
      lines.lineTo(x, y);
      if (scene.legs.flags[leg] & IGNORED) {
        hollow.rect(x - 5, y - 5, 10, 10);
        this.hits.push([x, y, 5, 5, leg]);
      } else full.push([leg, x, y]);
    }
    pen.strokeStyle = this.colour(members[0]);
    pen.globalAlpha = 0.35;
    pen.lineWidth = 1;
    pen.stroke(lines);
    pen.globalAlpha = 1;
    pen.fillStyle = this.colours.card;
    pen.fill(hollow);
    pen.lineWidth = 1.8;
    pen.stroke(hollow);
    for (const [leg, x, y] of full) {
      this.card(leg, x, y, { small: true });
      if (part >= FLIGHT || this.still.matches) this.mark(leg, x, y, true);
    }
  }

  // A switch asks its controller, or is answered.
  question(moment, part) {
    const { pen, scene } = this,
      leg = scene.legAt(moment),
      node = scene.nodeAt(scene.legs.head[leg]);
    if (!this.plan.controller || node < 0) return;
    const box = this.box(node),
      [cx, cy] = this.plan.controller;
    const up = scene.kind[moment] === ASK;
    const low = edge(box, cx, cy, 10),
      high = edge({ x: cx, y: cy, width: 150, height: 42 }, box.x, box.y, 14);
    const [from, to] = up ? [low, high] : [high, low];
    const gone = this.progress(part);
    const x = from[0] + (to[0] - from[0]) * gone,
      y = from[1] + (to[1] - from[1]) * gone;
    pen.strokeStyle = this.colours.warn;
    pen.lineWidth = 2.5;
    pen.setLineDash([2, 5]);
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(x, y);
    pen.stroke();
    pen.setLineDash([]);
    this.card(leg, x, y, { held: true });
    this.outlined(up ? "?" : "!", x + this.half(leg) + 9, y + 5, this.colours.warn);
  }

  // Too fast for single frames: how many each cable carried within a quarter of a second of play.
  sums(moment) {
    const { pen, scene } = this,
      sums = new Map();
    const from = scene.starts[Math.max(0, moment - Math.ceil(this.speed / 4))];
    for (let at = from; at < scene.starts[Math.max(0, moment + 1)]; at++) {
      const leg = scene.members[at],
        key = scene.legs.tail[leg] * 65536 + scene.legs.head[leg];
      sums.set(key, (sums.get(key) ?? 0) + 1);
    }
    pen.fillStyle = this.colours.tcp;
    for (const [key, frames] of sums) {
      const cable = this.curves.get(key);
      if (!cable) continue;
      const [a, b] = bezier(cable[0], cable[1], 0.5),
        [c, d] = bezier(cable[0], cable[1], 0.56);
      const size = Math.min(20, 5 + Math.sqrt(frames) * 1.6);
      pen.save();
      pen.translate(a, b);
      pen.rotate(Math.atan2(d - b, c - a));
      pen.beginPath();
      pen.moveTo(size, 0);
      pen.lineTo(-size, -size * 0.7);
      pen.lineTo(-size, size * 0.7);
      pen.fill();
      pen.restore();
    }
  }

  // Frames a second on each cable at this time, as arrows that move along it.
  flowing(now) {
    const { flows } = this;
    const spelled = this.plan.cables.length <= MOST_RATES;
    for (const [key, [curve, backwards]] of this.curves) {
      const rate = flows.out[Math.floor(key / 65536)];
      if (!rate) continue;
      const size = Math.min(11, 4 + Math.log10(1 + rate) * 1.7);
      const arrows = rate < 10 ? 1 : rate < 1000 ? 2 : 3;
      for (let arrow = 0; arrow < arrows; arrow++) {
        const turn = this.still.matches ? 0.5 : (now / PASSAGE_MS) % 1;
        const part = 0.12 + 0.76 * ((turn + arrow) / arrows);
        this.arrow(curve, backwards, part, size);
      }
      if (!spelled) continue;
      const [x, y, across] = this.aside(curve, backwards, 0.5);
      const text = `${Math.max(1, Math.round(rate)).toLocaleString("en")}/s`;
      this.outlined(text, x + across[0] * 14, y + across[1] * 14 + 4, this.colours.ink, 500);
    }
  }

  // A point on the right side of a cable, and which way that is.
  aside(curve, backwards, part) {
    const [x, y] = bezier(curve, backwards, part),
      [u, v] = bezier(curve, backwards, part + 0.02);
    const long = Math.hypot(u - x, v - y) || 1;
    const across = [(y - v) / long, (u - x) / long];
    return [x, y, across, Math.atan2(v - y, u - x)];
  }

  arrow(curve, backwards, part, size) {
    const { pen } = this,
      [x, y, across, angle] = this.aside(curve, backwards, part);
    pen.save();
    pen.translate(x + across[0] * 5, y + across[1] * 5);
    pen.rotate(angle);
    pen.fillStyle = this.colours.tcp;
    pen.beginPath();
    pen.moveTo(size, 0);
    pen.lineTo(-size * 0.6, -size * 0.55);
    pen.lineTo(-size * 0.6, size * 0.55);
    pen.fill();
    pen.restore();
  }

  // Where a map is larger than its place: bring what happens into sight, always in the same way.
  follow(moment) {
    if (!this.overflows || this.own || moment < 0) return;
    const leg = this.scene.legAt(moment),
      cable = this.cable(leg),
      { k, x, y } = this.home;
    const width = this.element.clientWidth,
      height = this.element.clientHeight - this.tools;
    const [cx, cy] = cable ? bezier(cable[0], cable[1], 0.5) : [0, 0];
    const px = cx * k + x,
      py = cy * k + y;
    const inside = !cable || (px > 80 && py > 60 && px < width - 80 && py < height - 60);
    const within = (at, room, size) => Math.max(Math.min(0, room - size), Math.min(0, at));
    const view = inside
      ? this.home
      : {
          k,
          x:
            this.plan.width * k > width
              ? within(width / 2 - cx * k, width, this.plan.width * k)
              : x,
          y:
            this.plan.height * k > height
              ? within(height / 2 - cy * k, height, this.plan.height * k)
              : y,
        };
    if (view.x === this.view.x && view.y === this.view.y && view.k === this.view.k) return;
    this.view = view;
    this.place();
  }
}
