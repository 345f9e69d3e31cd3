// SPDX-License-Identifier: Apache-2.0
// The language of docs/filter.md: from h1 to h2 via s1 not r1 and tcp.syn. Pure: a scene and a text
// in, a predicate over packets out.
import { FLOODED, IGNORED, LOST, ROUTED, VANISHED } from "./scene.js";

export class FilterError extends Error {
  constructor(word) {
    super(word);
    this.word = word;
  }
}

const TOKEN = /"([^"]*)"|(<=|>=|==|!=|&&|\|\||[()<>!=])|((?:(?!&&|\|\|)[^\s()<>!="])+)|(")/g;
const DEEPEST = 100; // brackets and nots within each other
const JOINING = { "&&": "and", "||": "or", "!": "not" };

function tokens(text) {
  return Array.from(text.matchAll(TOKEN), ([whole, quoted, sign, word, open]) => {
    if (open) throw new FilterError(open);
    if (quoted !== undefined) return { quoted };
    return { word: JOINING[sign] ?? sign ?? word, whole };
  });
}

// compile("tcp from h1")(packet) is true or false. Throws FilterError with the word that does not
// fit.
export function compile(text, scene, titleOf) {
  const list = tokens(text);
  const about = describe(scene, titleOf);
  let at = 0,
    depth = 0;
  const deeper = (read, word) => {
    if (++depth > DEEPEST) throw new FilterError(word);
    const part = read();
    depth--;
    return part;
  };
  const peek = () => list[at]?.word;
  const either = () => {
    const parts = [both()];
    while (peek() === "or") {
      at++;
      parts.push(both());
    }
    return parts.length === 1 ? parts[0] : (packet) => parts.some((part) => part(packet));
  };
  const both = () => {
    const parts = [single()];
    for (;;) {
      if (peek() === "and") at++;
      else if (at >= list.length || peek() === "or" || peek() === ")") break;
      parts.push(single());
    }
    return parts.length === 1 ? parts[0] : (packet) => parts.every((part) => part(packet));
  };
  const single = () => {
    const token = list[at++];
    if (!token) throw new FilterError("…");
    if (token.quoted !== undefined) return about.says(token.quoted);
    if (token.word === "not") {
      const part = deeper(single, "not");
      return (packet) => !part(packet);
    }
    if (token.word === "(") {
      const part = deeper(either, "(");
      if (peek() !== ")") throw new FilterError("(");
      at++;
      return part;
    }
    const compared = /^(==|!=|=|<|>|<=|>=)$/.test(peek() ?? "") && own(FIELDS, token.word);
    if (compared) {
      const sign = list[at++].word,
        value = list[at++];
      if (!value) throw new FilterError(sign);
      return compare(about, compared, sign, value.quoted ?? value.word);
    }
    const relation = own(RELATIONS, token.word);
    if (relation && list[at] && !/^(and|or|not|\)|\()$/.test(peek() ?? "x")) {
      const value = list[at++];
      return relation(about, value.quoted ?? value.word);
    }
    if (/^[()<>=!]+$/.test(token.word)) throw new FilterError(token.word);
    return word(about, token.word);
  };
  if (!list.length) return () => true;
  const predicate = either();
  if (at < list.length) throw new FilterError(list[at].word ?? list[at].quoted);
  return predicate;
}

// What a table of ours has under a word; "constructor" is in every object, and in none of them
// ours.
const own = (table, word) =>
  Object.hasOwn(table, word.toLowerCase()) ? table[word.toLowerCase()] : undefined;

// What can be asked of a packet, made when it is first asked for.
function describe(scene, titleOf) {
  const { legs, trips } = scene;
  const some = (packet, test) => {
    for (let leg = trips.first[packet]; leg <= scene.lastLeg[packet]; leg++)
      if (test(leg)) return true;
    return false;
  };
  const nodes = (packet) => {
    const all = new Set();
    for (let leg = trips.first[packet]; leg <= scene.lastLeg[packet]; leg++) {
      all.add(scene.nodeAt(legs.tail[leg]));
      if (!(legs.flags[leg] & VANISHED)) all.add(scene.nodeAt(legs.head[leg]));
    }
    return all;
  };
  const touched = new Map();
  const touches = (packet) => touched.get(packet) ?? touched.set(packet, nodes(packet)).get(packet);
  return {
    scene,
    legs,
    trips,
    some,
    touches,
    says: (text) => (packet) => titleOf(packet).toLowerCase().includes(text.toLowerCase()),
    node: (name) => scene.nodeOf.get(name) ?? -1,
  };
}

const words = (about, packet) =>
  new Set([
    about.trips.family[packet],
    ...about.trips.kind[packet].split("-"),
    ...about.trips.layers[packet].split(" "),
  ]);

const end = (side, column) => (about, value) => {
  const node = about.node(value);
  if (node >= 0) return (packet) => about.trips[side][packet] === node;
  return (packet) => about.trips[column][packet] === value;
};

const RELATIONS = {
  from: end("sender", "src"),
  to: end("target", "dst"),
  via: (about, value) => {
    const node = needs(about, value);
    return (packet) =>
      about.touches(packet).has(node) &&
      about.trips.sender[packet] !== node &&
      about.trips.target[packet] !== node;
  },
  at: (about, value) => {
    const node = needs(about, value);
    return (packet) => about.touches(packet).has(node);
  },
  on: (about, value) => {
    const port = about.scene.portOf.get(value);
    if (port === undefined) throw new FilterError(value);
    return (packet) =>
      about.some(packet, (leg) => about.legs.tail[leg] === port || about.legs.head[leg] === port);
  },
  step: (about, value) => (packet) => {
    const step = about.scene.steps[about.trips.step[packet]];
    return Boolean(step) && (String(step.number) === value || step.key === value.toLowerCase());
  },
};

function needs(about, name) {
  const node = about.node(name);
  if (node < 0) throw new FilterError(name);
  return node;
}

// Fields, under names of ours and of Wireshark's. A value of a packet, or one for each of its
// frames.
const number = (read) => ({ read, numeric: true });
const addresses = (read) => ({ read });
const mac = (...columns) =>
  addresses((about, packet) =>
    perLeg(about, packet, (leg) =>
      columns.map((column) => about.scene.macs[about.legs[column][leg]]),
    ),
  );
const perLeg = (about, packet, read) => {
  const out = [];
  for (let leg = about.trips.first[packet]; leg <= about.scene.lastLeg[packet]; leg++)
    out.push(...[read(leg)].flat());
  return out;
};
const FIELDS = {
  length: number((about, packet) => [about.trips.length[packet]]),
  ttl: number((about, packet) => perLeg(about, packet, (leg) => about.legs.ttl[leg])),
  time: number((about, packet) => [
    (about.legs.t[about.trips.first[packet]] * about.scene.tick_ns) / 1e6,
  ]),
  packet: number((about, packet) => [about.trips.number[packet]]),
  copies: number((about, packet) => [
    about.scene.lastLeg[packet] - about.trips.first[packet] + 1 + about.trips.more[packet],
  ]),
  "frame.number": number((about, packet) =>
    perLeg(about, packet, (leg) => [about.legs.sent[leg], about.legs.received[leg]]),
  ),
  "ip.src": addresses((about, packet) => [about.trips.src[packet]]),
  "ip.dst": addresses((about, packet) => [about.trips.dst[packet]]),
  "ip.addr": addresses((about, packet) => [about.trips.src[packet], about.trips.dst[packet]]),
  "eth.src": mac("src"),
  "eth.dst": mac("dst"),
  "eth.addr": mac("src", "dst"),
};
Object.assign(FIELDS, {
  "frame.len": FIELDS.length,
  "ip.ttl": FIELDS.ttl,
  "ipv6.hlim": FIELDS.ttl,
  "ipv6.src": FIELDS["ip.src"],
  "ipv6.dst": FIELDS["ip.dst"],
  "ipv6.addr": FIELDS["ip.addr"],
});

function compare(about, field, sign, value) {
  const wanted = field.numeric ? Number(value) : value.toLowerCase();
  if (field.numeric && (Number.isNaN(wanted) || !value.trim())) throw new FilterError(value);
  if (!field.numeric && !/^(==|=|!=)$/.test(sign)) throw new FilterError(sign);
  const holds = {
    "==": (a) => a === wanted,
    "=": (a) => a === wanted,
    "!=": (a) => a === wanted,
    "<": (a) => a < wanted,
    ">": (a) => a > wanted,
    "<=": (a) => a <= wanted,
    ">=": (a) => a >= wanted,
  }[sign];
  const any = (packet) =>
    field
      .read(about, packet)
      .some((each) => holds(field.numeric ? each : String(each).toLowerCase()));
  return sign === "!=" ? (packet) => !any(packet) : any;
}

const flag = (bits) => (about) => (packet) =>
  about.some(packet, (leg) => about.legs.flags[leg] & bits);
const STATES = {
  lost: flag(LOST),
  vanished: flag(VANISHED),
  flooded: flag(FLOODED),
  ignored: flag(IGNORED),
  routed: flag(ROUTED),
  ended: (about) => (packet) => Boolean(about.trips.ended[packet]),
  translated: (about) => (packet) => about.trips.translated[packet].length > 0,
  answered: (about) => (packet) => about.trips.answered_by[packet] > 0,
  asked: (about) => {
    const asked = new Set(about.scene.asks.map((ask) => ask[0]));
    return (packet) => asked.has(packet);
  },
};
const PROTOCOLS = new Set([
  "arp",
  "dns",
  "tcp",
  "udp",
  "http",
  "tls",
  "icmp",
  "icmp6",
  "nd",
  "mld",
  "dhcp",
  "ip",
  "other",
  "fragment",
]);

function word(about, text) {
  const low = text.toLowerCase();
  const span = /^#?(\d+)(?:\.\.#?(\d+))?$/.exec(text);
  if (span) {
    const from = Number(span[1]),
      to = Number(span[2] ?? span[1]);
    return (packet) => about.trips.number[packet] >= from && about.trips.number[packet] <= to;
  }
  if (about.node(text) >= 0) return RELATIONS.at(about, text);
  if (about.scene.portOf.has(text)) return RELATIONS.on(about, text);
  const state = own(STATES, text);
  if (state) return state(about);
  const parts = low.replace(/^tcp\.flags\./, "tcp.").split(".");
  if (PROTOCOLS.has(parts[0]))
    return (packet) => parts.every((part) => words(about, packet).has(part));
  if (/^[\d.]+$|:/.test(text)) {
    return (packet) =>
      [about.trips.src[packet], about.trips.dst[packet]].includes(text) ||
      FIELDS["eth.addr"].read(about, packet).includes(low);
  }
  if (/\./.test(text) && !/\.\w{2,}$/.test(text)) throw new FilterError(text);
  return about.says(text);
}
