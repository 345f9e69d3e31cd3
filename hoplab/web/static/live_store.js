// SPDX-License-Identifier: Apache-2.0
// Packets as they are told, kept as long as there is room, and made into a scene when somebody
// looks. Pure: no DOM, no clock, no socket. docs/web.md has the shapes of messages.
import { arranged, columns } from "./scene.js";

export const MOST_PACKETS = 2000,
  MOST_LEGS = 20_000;
const SMOOTH_S = 0.7,
  LEAST = 0.3; // frames a second below which a cable is at rest
const PLACED = new Set(["first"]); // columns of trips that are found anew for each scene

// Texts of a piece with the places of a larger table of templates: hoplab/web/texts.py has the
// shapes.
function moved(value, places) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) {
    const [place, values] = value;
    if (!values) return [places[place]];
    return [
      places[place],
      Object.fromEntries(Object.entries(values).map(([name, each]) => [name, moved(each, places)])),
    ];
  }
  if (value.list) return { list: value.list.map((item) => moved(item, places)) };
  if (value.row) return { row: value.row.map((item) => moved(item, places)) };
  return value;
}

// A table in which each text has one place.
class Table {
  constructor(rows = []) {
    this.rows = [];
    this.places = new Map();
    for (const row of rows) this.place(row);
  }

  place(row) {
    const key = JSON.stringify(row);
    let place = this.places.get(key);
    if (place === undefined) {
      place = this.rows.length;
      this.places.set(key, place);
      this.rows.push(row);
    }
    return place;
  }
}

export class Store {
  // base: a scene without packets.
  constructor(base) {
    this.begin(base);
  }

  // Another network: what was told before has no place in it.
  begin(base) {
    this.base = base;
    this.templates = new Table(base.templates);
    this.macs = new Table(base.macs);
    this.cards = new Table(base.cards);
    this.packets = new Map(); // by number, each with its own rows
    this.legs = 0;
    this.changed = true;
  }

  // The same network with something added, or another controller: every place holds but those of
  // templates.
  grow(base) {
    const places = base.templates.map((row) => this.templates.place(row));
    this.base = { ...base, title: moved(base.title, places) };
    this.changed = true;
  }

  take(piece) {
    const texts = piece.templates.map((row) => this.templates.place(row));
    const macs = piece.macs.map((mac) => this.macs.place(mac));
    const cards = piece.cards.map((card) =>
      this.cards.place(card.map((line) => moved(line, texts))),
    );
    const text = (value) => moved(value, texts);
    const legs = columns(piece.legs);
    const { trips } = piece;
    const names = Object.keys(trips).filter((name) => !PLACED.has(name));
    const made = trips.first.map((first, at) => {
      const end = trips.first[at + 1] ?? legs.trip.length;
      const row = Object.fromEntries(names.map((name) => [name, trips[name][at]]));
      row.title = text(row.title);
      row.cause = text(row.cause);
      row.ended = text(row.ended);
      row.notes = row.notes.map(text);
      row.decisions = row.decisions.map(([leg, sentence, card]) => [
        leg,
        text(sentence),
        cards[card],
      ]);
      row.step = -1;
      const rows = [];
      for (let leg = first; leg < end; leg++) {
        const each = {};
        for (const name of Object.keys(legs)) each[name] = legs[name][leg];
        each.t += piece.base;
        each.came += piece.base;
        each.src = macs[each.src];
        each.dst = macs[each.dst];
        each.change = piece.changes[leg] === undefined ? undefined : text(piece.changes[leg]);
        rows.push(each);
      }
      return { row, rows, asks: [] };
    });
    for (const [packet, leg, wait, asked, sent, answer] of piece.asks)
      made[packet].asks.push([leg, wait, asked, sent, text(answer)]);
    for (const packet of made) this.put(packet);
    this.changed = true;
  }

  put(packet) {
    const { number } = packet.row;
    this.legs += packet.rows.length - (this.packets.get(number)?.rows.length ?? 0);
    this.packets.set(number, packet);
    for (const [oldest, { rows }] of this.packets) {
      if (this.packets.size <= MOST_PACKETS && this.legs <= MOST_LEGS) break;
      this.packets.delete(oldest);
      this.legs -= rows.length;
    }
  }

  // All that is kept, as a scene that every view can draw.
  scene() {
    this.changed = false;
    const { base } = this;
    const kept = [...this.packets.values()].sort((a, b) => a.row.number - b.row.number);
    const trips = Object.fromEntries(Object.keys(base.trips).map((name) => [name, []]));
    const legs = Object.fromEntries(
      Object.keys(base.legs).map((name) => [
        name,
        new Float64Array(kept.reduce((sum, { rows }) => sum + rows.length, 0)),
      ]),
    );
    const asks = [],
      changes = {};
    let at = 0;
    kept.forEach(({ row, rows, asks: own }, packet) => {
      for (const name of Object.keys(trips)) trips[name].push(row[name]);
      trips.first[packet] = at;
      for (const ask of own) asks.push([packet, ...ask]);
      for (const each of rows) {
        for (const name of Object.keys(legs)) legs[name][at] = each[name];
        legs.trip[at] = packet;
        if (each.change !== undefined) changes[at] = each.change;
        at++;
      }
    });
    return arranged({
      ...base,
      trips,
      legs,
      asks,
      changes,
      macs: this.macs.rows,
      cards: this.cards.rows,
      templates: this.templates.rows,
    });
  }
}

// Frames a second at each port, from sums as they come.
export class Rates {
  // ports: how many there are; counts: what was counted before, in the form of `take`.
  constructor(ports, counts = []) {
    this.out = new Float64Array(ports);
    this.totals = Array.from({ length: ports }, () => [0, 0, 0, 0]);
    for (const [port, ...sums] of counts) if (port < ports) this.totals[port] = sums;
    this.sum = 0;
    this.seconds = null;
  }

  rest() {
    this.out.fill(0);
    this.sum = 0;
  }

  // counts: [port, out, bytes out, in, bytes in] since the last ones; seconds: the server's clock.
  // Rates are those of about the last SMOOTH_S, so that nothing flickers.
  take(counts, seconds) {
    const passed = this.seconds === null ? SMOOTH_S : Math.max(0.02, seconds - this.seconds);
    this.seconds = seconds;
    const kept = Math.exp(-passed / SMOOTH_S);
    this.out.forEach((rate, port) => {
      this.out[port] = rate * kept < LEAST ? 0 : rate * kept;
    });
    for (const [port, out, ...rest] of counts) {
      if (port >= this.out.length) continue;
      this.out[port] += (out * (1 - kept)) / passed;
      [out, ...rest].forEach((value, at) => {
        this.totals[port][at] += value;
      });
    }
    this.sum = this.out.reduce((sum, rate) => sum + rate, 0);
  }
}
