// SPDX-License-Identifier: Apache-2.0
// The sequence diagram of one step: a column a node, whose heads stay in view, a row a frame.
import { h, s } from "./dom.js";
import { IGNORED, VANISHED, letters } from "./scene.js";

const ROW = 26,
  COLUMN = 108,
  NARROW = 86,
  MOST = 240;

export class Sequence {
  constructor(scene, speaker, select) {
    Object.assign(this, { scene, speaker, select });
    this.step = null;
    this.element = h("section", {
      class: "sequence",
      "aria-label": speaker.word("sequence"),
      tabindex: "0",
    });
  }

  show(step) {
    if (step === this.step) return;
    this.step = step;
    const { scene } = this,
      { legs, trips } = scene;
    const rows = [];
    for (let packet = 0; packet < scene.packets && rows.length < MOST; packet++) {
      if (step !== null && trips.step[packet] !== step) continue;
      for (let leg = trips.first[packet]; leg <= scene.lastLeg[packet]; leg++) rows.push(leg);
    }
    rows.sort((a, b) => scene.momentOf[a] - scene.momentOf[b] || a - b);
    const shown = rows.slice(0, MOST);
    const order = columns(scene, shown);
    const wide = (this.element.clientWidth || 0) / Math.max(1, order.length);
    const column = Math.max(NARROW, Math.min(COLUMN * 1.6, wide || COLUMN));
    const x = new Map(order.map((node, at) => [node, at * column + column / 2]));
    const width = Math.max(column, order.length * column),
      height = shown.length * ROW + 12;
    const lines = order.map((node) =>
      s("line", { class: "life", x1: x.get(node), x2: x.get(node), y1: 0, y2: height }),
    );
    this.several = new Set(shown.map((leg) => trips.port[legs.trip[leg]]).filter(Boolean)).size > 1;
    this.marks = new Map();
    const arrows = shown.map((leg, at) => this.arrow(leg, at * ROW + 20, x));
    const heads = h(
      "div",
      { class: "heads" },
      order.map((node) => {
        const head = h("b", { title: scene.nodes[node].name }, scene.nodes[node].name);
        head.style.width = `${column}px`;
        return head;
      }),
    );
    heads.style.width = `${width}px`;
    this.element.replaceChildren(
      heads,
      s(
        "svg",
        { width, height, role: "group", "aria-label": this.speaker.word("sequence") },
        lines,
        arrows,
      ),
    );
  }

  arrow(leg, y, x) {
    const { scene } = this,
      { legs, trips } = scene,
      packet = legs.trip[leg],
      flags = legs.flags[leg];
    const from = x.get(scene.nodeAt(legs.tail[leg])) ?? 0,
      to = x.get(scene.nodeAt(legs.head[leg])) ?? from + 40;
    const away = to >= from ? 1 : -1,
      tip = flags & VANISHED ? (from + to) / 2 : to - away * 2;
    const label = `#${trips.number[packet]}`,
      way = `${label} ${scene.nameAt(legs.tail[leg])} → ${scene.nameAt(legs.head[leg])}`,
      title = `${label} ${this.speaker.text(trips.title[packet])}`;
    const made = s(
      "g",
      {
        class: `arrow ${trips.family[packet]}${flags & IGNORED ? " ignored" : ""}`,
        tabindex: "-1",
        role: "img",
        "aria-label": way,
      },
      s("title", {}, title),
      s("line", { x1: from, x2: tip, y1: y, y2: y }),
      flags & VANISHED
        ? s("text", { x: tip, y: y + 5, "text-anchor": "middle" }, "✗")
        : flags & IGNORED
          ? s("circle", { cx: tip - away * 4, cy: y, r: 4 })
          : s("path", { d: `M${tip} ${y}l${-away * 8} -4.5v9z` }),
      s(
        "text",
        { x: (from + tip) / 2, y: y - 4, "text-anchor": "middle" },
        legs.parent[leg] < 0 ? `${label} ${what(scene, packet, this.several)}` : label,
      ),
    );
    made.addEventListener("click", () => this.select("leg", leg));
    this.marks.set(leg, made);
    return made;
  }

  mark(legs) {
    for (const each of this.element.querySelectorAll(".now")) each.classList.remove("now");
    let first = null;
    for (const leg of legs) {
      const made = this.marks?.get(leg);
      if (!made) continue;
      made.classList.add("now");
      first ??= made;
    }
    if (first && this.element.clientHeight) {
      const { x, y, width } = first.getBBox(),
        view = this.element;
      if (y < view.scrollTop || y > view.scrollTop + view.clientHeight - 70)
        view.scrollTop = Math.max(0, y - view.clientHeight / 2);
      if (x < view.scrollLeft || x + width > view.scrollLeft + view.clientWidth)
        view.scrollLeft = Math.max(0, x - 40);
    }
  }
}

// Nodes in the order in which frames that were of use came to them; those that ignored theirs last.
function columns(scene, legs) {
  const order = new Set(),
    last = new Set();
  for (const leg of legs) {
    const tail = scene.nodeAt(scene.legs.tail[leg]),
      head = scene.nodeAt(scene.legs.head[leg]);
    if (tail >= 0) order.add(tail);
    if (head >= 0) (scene.legs.flags[leg] & IGNORED ? last : order).add(head);
  }
  return [...new Set([...order, ...last])];
}

// A packet in the words of a frame's label: protocol and kind, and, of several connections, the
// port by which one is told from another.
function what(scene, packet, several) {
  const [, ...kind] = scene.trips.kind[packet].split("-");
  if (kind.length && scene.trips.family[packet] === "tcp")
    kind.splice(0, kind.length, kind.join(" ").toUpperCase());
  const port = several && scene.trips.port[packet];
  return [letters(scene, packet), kind.join(" "), port ? `:${port}` : ""].filter(Boolean).join(" ");
}
