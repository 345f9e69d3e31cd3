// SPDX-License-Identifier: Apache-2.0
// A frame in full: what each layer of it was when it came into a node, and when it went out.
import { h, put } from "./dom.js";
import { IGNORED, VANISHED, displayFilter, numbersOf } from "./scene.js";

const ROW = 16;

// "10.1.0.10/24" as four numbers and a length; nothing of what is no IPv4 address.
function parsed(address) {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(address);
  return match ? [match.slice(1, 5).map(Number), Number(match[5])] : [null, 0];
}

const whole = (bytes) => bytes.map((each) => each.toString(2).padStart(8, "0")).join("");

const sameNetwork = (one, length, other) =>
  other !== null && whole(one).slice(0, length) === whole(other).slice(0, length);

// Bits with a dot behind each eighth; those of the network are set off by more than a colour.
function bits(bytes, length) {
  const text = whole(bytes),
    dotted = (from, to) =>
      Array.from(text.slice(from, to), (bit, at) =>
        (from + at) % 8 === 0 && from + at ? `.${bit}` : bit,
      ).join("");
  return [h("b", { class: "part" }, dotted(0, length)), dotted(length, 32)];
}

export class Detail {
  // inside: fields and bytes by frame number, once they are unpacked; null before.
  constructor(scene, speaker, { select, copy, download, captureName }) {
    Object.assign(this, { scene, speaker, select, copy, download, captureName });
    this.inside = null;
    this.element = h("section", {
      class: "detail",
      "aria-label": speaker.word("frame"),
      tabindex: "0",
    });
  }

  // A node at a moment: its interfaces, its part of each address, and what came to it so far.
  node(place, moment) {
    const { scene, speaker } = this,
      node = scene.nodes[place];
    const { legs } = scene,
      numbers = { n: 0, i: 0, o: 0 },
      seen = new Map();
    for (let leg = 0; leg < scene.count; leg++) {
      if (scene.momentOf[leg] > moment) continue;
      if (scene.nodeAt(legs.tail[leg]) === place) numbers.o++;
      if (scene.nodeAt(legs.head[leg]) !== place || legs.flags[leg] & VANISHED) continue;
      numbers.n++;
      if (legs.flags[leg] & IGNORED) numbers.i++;
      const before = seen.get(legs.src[leg]);
      if (before === undefined || scene.momentOf[before] <= scene.momentOf[leg]) {
        seen.set(legs.src[leg], leg);
      }
    }
    put(
      this.element,
      this.heading(place),
      h("p", {}, speaker.word(numbers.i ? "load_ignored" : "load", numbers)),
      node.kind === "switch" ? this.senders(seen, moment) : null,
      this.interfaces(place),
    );
  }

  heading(place) {
    const { name, kind } = this.scene.nodes[place];
    return h("h2", {}, name, " ", h("small", {}, this.speaker.word(`node_kind_${kind}`)));
  }

  // A node's addresses bit by bit, and its interfaces.
  interfaces(place) {
    const { scene, speaker } = this,
      node = scene.nodes[place];
    const ports = scene.ports
      .map((port, at) => ({ ...port, at }))
      .filter((port) => port.node === place);
    // A host's ports have names alone.
    const numbered = node.kind === "switch" || node.kind === "hub";
    const rows = ports.map((port) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, port.name),
        numbered && port.port !== null ? h("td", {}, speaker.word("port", { n: port.port })) : null,
        h("td", { class: "mono" }, port.addresses.join(" ")),
        h("td", { class: "mono" }, port.mac),
      ),
    );
    const networks = ports
      .flatMap((port) => port.addresses)
      .map((address) => this.network(address, place));
    return [networks, h("table", { class: "plain" }, h("tbody", {}, rows))];
  }

  // Where a switch saw which sender last, and how long ago: what a learning switch learns from.
  senders(seen, moment) {
    const { scene, speaker } = this,
      { legs, trips, ports } = scene;
    if (!seen.size) return null;
    const rows = [...seen].map(([mac, leg]) =>
      h(
        "tr",
        {},
        h("th", { scope: "row", class: "mono" }, scene.macs[mac]),
        h("td", {}, scene.nodes[scene.owner.get(scene.macs[mac])]?.name ?? ""),
        h(
          "td",
          {},
          ports[legs.head[leg]].port === null
            ? ports[legs.head[leg]].name
            : speaker.word("port", { n: ports[legs.head[leg]].port }),
        ),
        h("td", {}, `#${trips.number[legs.trip[leg]]}`),
        h("td", {}, speaker.word("ago", { ms: this.since(leg, moment) })),
      ),
    );
    return [
      h("h3", {}, speaker.word("senders")),
      h("table", { class: "plain senders" }, h("tbody", {}, rows)),
    ];
  }

  // Milliseconds from the arrival of a frame to a moment.
  since(leg, moment) {
    const { scene } = this;
    const ticks = Math.max(0, (scene.time[moment] ?? 0) - scene.legs.came[leg]);
    return ((ticks * scene.tick_ns) / 1e6).toLocaleString("en", { maximumFractionDigits: 1 });
  }

  // An address bit by bit: the network's part as the mask has it, the host's, and who shares it.
  network(address, place) {
    const { scene, speaker } = this,
      [bytes, length] = parsed(address);
    if (!bytes) return null;
    const others = scene.nodes
      .map((node, at) => at)
      .filter(
        (at) =>
          at !== place &&
          scene.ports.some(
            (port) =>
              port.node === at &&
              port.addresses.some((each) => sameNetwork(bytes, length, parsed(each)[0])),
          ),
      );
    const shown = others.slice(0, 12),
      list = shown.flatMap((at, n) => [
        n ? speaker.comma() : "",
        h(
          "button",
          {
            type: "button",
            class: "pick",
            onclick: () => this.select("node", scene.nodes[at].name),
          },
          scene.nodes[at].name,
        ),
      ]);
    if (others.length > shown.length) list.push(` … (${others.length})`);
    const mask = bytes.map((_, at) => 256 - 2 ** (8 - Math.max(0, Math.min(8, length - 8 * at))));
    return h(
      "div",
      { class: "network" },
      h(
        "table",
        { class: "bits mono" },
        h(
          "tbody",
          {},
          [bytes, mask].map((row) =>
            h("tr", {}, h("td", {}, row.join(".")), h("td", {}, bits(row, length))),
          ),
        ),
      ),
      h(
        "p",
        {},
        h("b", { class: "part" }, speaker.word("network_part", { n: length })),
        " ",
        speaker.word("host_part", { n: 32 - length }),
      ),
      h(
        "p",
        {},
        others.length
          ? speaker.wordNodes("same_network", { l: h("span", {}, list) })
          : speaker.word("alone"),
      ),
    );
  }

  show(leg) {
    const { scene, speaker } = this,
      { legs, trips } = scene;
    if (leg < 0) return put(this.element);
    const packet = legs.trip[leg],
      parent = scene.parentOf(leg);
    const pick = (value) => speaker.nodes(value, this.select);
    const port = (column) => scene.ports[legs[column][leg]]?.name ?? "?";
    const where = `${port("tail")} → ${port("head")}`;
    const why = trips.cause[packet]
      ? h(
          "p",
          { class: "why" },
          speaker.wordNodes("why", { cause: h("span", {}, pick(trips.cause[packet])) }),
        )
      : null;
    const decisions = trips.decisions[packet]
      .filter(([at]) => trips.first[packet] + at === (parent < 0 ? leg : parent))
      .map(([, sentence]) => h("p", { class: "why" }, pick(sentence)));
    const notes = trips.notes[packet].map((note) => h("p", { class: "note" }, pick(note)));
    const ended = trips.ended[packet]
      ? h("p", { class: "bad" }, "✗ ", pick(trips.ended[packet]))
      : null;
    const more = trips.more[packet]
      ? h(
          "p",
          { class: "note" },
          speaker.word("more", { n: trips.more[packet].toLocaleString("en") }),
        )
      : null;
    return put(
      this.element,
      h("h2", {}, `#${trips.number[packet]} `, h("small", { class: "mono" }, where)),
      h("p", { class: "title" }, pick(trips.title[packet])),
      why,
      decisions,
      notes,
      ended,
      more,
      this.captureName ? this.wireshark(leg, packet) : null,
      this.layers(leg, parent),
    );
  }

  wireshark(leg, packet) {
    const { scene, speaker } = this;
    const here = displayFilter(numbersOf(scene, leg, leg)),
      whole = displayFilter(numbersOf(scene, scene.trips.first[packet], scene.lastLeg[packet]));
    const line = (text) =>
      h(
        "div",
        { class: "line" },
        h("code", {}, text),
        h(
          "button",
          { type: "button", onclick: (event) => this.copy(text, event.currentTarget) },
          speaker.word("copy"),
        ),
      );
    const file = this.download
      ? h(
          "button",
          { type: "button", class: "save", onclick: this.download },
          speaker.word("capture"),
        )
      : h("p", { class: "note" }, speaker.word("capture_beside", { file: this.captureName }));
    return h(
      "details",
      { class: "wireshark" },
      h("summary", {}, speaker.word("in_wireshark")),
      here ? line(here) : null,
      whole && whole !== here ? line(whole) : null,
      file,
    );
  }

  fieldsOf(leg) {
    const { legs } = this.scene;
    let found = this.inside.frames[legs.sent[leg] || legs.received[leg]];
    if (typeof found === "number") found = this.inside.frames[found];
    return found;
  }

  layers(leg, parent) {
    if (!this.inside) return null;
    const { speaker } = this,
      out = this.fieldsOf(leg),
      into = parent < 0 ? null : this.fieldsOf(parent);
    if (!out) return h("p", { class: "note" }, speaker.word("no_fields", { n: this.inside.most }));
    const say = (value) => speaker.text(value, this.inside.templates);
    const key = ([layer, name]) => `${say(layer)} ${say(name)}`;
    const before = new Map((into?.[1] ?? []).map((field) => [key(field), field]));
    const after = new Set(out[1].map(key));
    const rows = [];
    let layer = null;
    const heading = (field) => {
      if (say(field[0]) === layer) return;
      layer = say(field[0]);
      rows.push(
        h("tr", { class: "layer" }, h("th", { colspan: into ? 4 : 2, scope: "colgroup" }, layer)),
      );
    };
    out[1].forEach((field, place) => {
      heading(field);
      const old = before.get(key(field)),
        text = say(field[4]),
        was = old ? say(old[4]) : "";
      const changed = into && was !== text;
      rows.push(
        h(
          "tr",
          {
            class: changed ? "changed" : "",
            "data-field": place,
            tabindex: "0",
            onfocus: () => this.light(place),
            onmouseenter: () => this.light(place),
          },
          h("th", { scope: "row" }, say(field[1])),
          into ? h("td", { class: "mono" }, was) : null,
          h("td", { class: "mono" }, text),
          into ? h("td", { class: "sign" }, changed ? "▲" : "") : null,
        ),
      );
    });
    for (const [name, field] of before) {
      if (!after.has(name))
        rows.push(
          h(
            "tr",
            { class: "changed" },
            h("th", { scope: "row" }, `${say(field[0])} ${say(field[1])}`),
            h("td", { class: "mono" }, say(field[4])),
            h("td", {}),
            h("td", { class: "sign" }, "▲"),
          ),
        );
    }
    const head = h(
      "tr",
      {},
      h("th", { scope: "col" }, speaker.word("field")),
      into ? h("th", { scope: "col" }, speaker.word("came_in")) : null,
      h("th", { scope: "col" }, into ? speaker.word("went_out") : speaker.word("made_here")),
      into
        ? h("th", { scope: "col" }, h("span", { class: "hidden" }, speaker.word("changed")))
        : null,
    );
    return [
      h("table", { class: "layers" }, h("thead", {}, head), h("tbody", {}, rows)),
      this.hex(out),
    ];
  }

  hex([text, fields, length]) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const owner = new Int32Array(bytes.length).fill(-1);
    fields.forEach(([, , start, end], place) => owner.fill(place, start, end));
    const lines = [];
    for (let at = 0; at < bytes.length; at += ROW) {
      const cells = [];
      for (let place = at; place < Math.min(at + ROW, bytes.length); place++) {
        cells.push(
          h("span", { "data-byte": owner[place] }, bytes[place].toString(16).padStart(2, "0")),
          " ",
        );
      }
      const letters = Array.from(bytes.subarray(at, at + ROW), (value) =>
        value > 31 && value < 127 ? String.fromCharCode(value) : "·",
      ).join("");
      lines.push(
        h("div", {}, h("i", {}, at.toString(16).padStart(4, "0")), " ", cells, h("b", {}, letters)),
      );
    }
    this.bytes = h("div", { class: "hex mono", "aria-hidden": "true" }, lines);
    const cut = length > bytes.length;
    return h(
      "details",
      { class: "bytes" },
      h("summary", {}, `${this.speaker.word("bytes")} · ${length.toLocaleString("en")}`),
      cut ? h("p", { class: "note" }, this.speaker.word("first_bytes", { n: bytes.length })) : null,
      this.bytes,
    );
  }

  light(place) {
    for (const cell of this.bytes?.querySelectorAll("[data-byte]") ?? [])
      cell.classList.toggle("on", +cell.dataset.byte === place);
  }
}
