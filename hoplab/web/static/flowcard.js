// SPDX-License-Identifier: Apache-2.0
// A card beside a switch: table, flow and group of the frame that it decides about. Which lines it
// has, hoplab/web/flow_card.py says; here is when it is shown, and where.
import { ASK, FRAMES } from "./scene.js";

const LINE = 16;
const PAD = 7;
const WIDE = 40; // letters of a line; a Chinese one counts as two
const LONG = 3; // lines that one text may take
const MOST = 10; // lines of a card
const CLEAR = 6; // units of the map between a card and what it does not cover
const GRID = 22; // units of the map between two places that are tried for a card

// What the switch of a moment decided, as { node, lines }; null where no switch decides anything.
// A frame that comes to a switch which sends it nowhere is decided about at the end of its way.
export function decidedAt(scene, moment) {
  const { legs, trips } = scene;
  if (moment < 0 || scene.kind[moment] > ASK) return null;
  const leg = scene.legAt(moment),
    packet = legs.trip[leg];
  const asking = scene.kind[moment] !== FRAMES;
  const cards = new Map(trips.decisions[packet].map(([at, , card]) => [at, card]));
  const card = (each) => cards.get(each - trips.first[packet]);
  const came = asking ? leg : scene.parentOf(leg);
  if (came >= 0 && card(came) !== undefined) return made(scene, came, card(came), false);
  if (asking) return null;
  const last = Array.from(scene.membersOf(moment)).find(
    (each) => card(each) !== undefined && !scene.passedOn(each),
  );
  return last === undefined ? null : made(scene, last, card(last), true);
}

function made(scene, leg, card, atEnd) {
  const node = scene.nodeAt(scene.legs.head[leg]);
  return node < 0 || !scene.cards[card].length ? null : { node, lines: scene.cards[card], atEnd };
}

// Draws it where it covers least: no box and no card of a frame, if there is room anywhere near.
export function drawCard(map, { node, lines }, moment) {
  const { pen, speaker, colours } = map;
  const texts = short(lines.flatMap((line) => wrapped(speaker.text(line))));
  pen.font = `500 ${map.textSize}px ${map.font}`;
  const width = Math.max(...texts.map((text) => pen.measureText(text).width)) + 2 * PAD;
  const height = texts.length * LINE + PAD;
  const box = map.box(node);
  const { k, x, y } = map.view;
  const key = [moment, k, x, y, width, height].join(" ");
  if (map.cardPlace?.key !== key) map.cardPlace = { key, at: place(map, box, width, height) };
  const [left, top] = map.cardPlace.at;
  pen.strokeStyle = colours.muted;
  pen.lineWidth = 1.5;
  pen.setLineDash([2, 3]);
  pen.beginPath();
  pen.moveTo(...edge(box, left + width / 2, top + height / 2, 0));
  pen.lineTo(left + width / 2, top + height / 2);
  pen.stroke();
  pen.setLineDash([]);
  pen.fillStyle = colours.card;
  pen.beginPath();
  pen.rect(left, top, width, height);
  pen.fill();
  pen.stroke();
  pen.fillStyle = colours.ink;
  pen.textAlign = "left";
  texts.forEach((text, at) => pen.fillText(text, left + PAD, top + 17 + at * LINE - PAD / 2));
  map.taken.push([left, top, left + width, top + height]);
  map.shownCard = { node, texts, place: [left, top, left + width, top + height] };
}

const cells = (text) => Array.from(text).reduce((n, sign) => n + (sign > "\u2e80" ? 2 : 1), 0);

// A text in lines, broken behind spaces and commas, what is left of a long one cut off.
function wrapped(text) {
  const lines = [""];
  for (const word of text.split(/(?<=[ ,，：])/)) {
    const last = lines.length - 1;
    if (lines[last] && cells(lines[last] + word.trimEnd()) > WIDE) lines.push(word);
    else lines[last] += word;
  }
  if (lines.length > LONG) lines.splice(LONG, Infinity, "…");
  return lines.map((line) => cut(line.trim()));
}

function cut(line) {
  if (cells(line) <= WIDE + 2) return line;
  const signs = Array.from(line);
  while (cells(signs.join("")) > WIDE) signs.pop();
  return `${signs.join("")}…`;
}

const short = (lines) =>
  lines.length <= MOST ? lines : [...lines.slice(0, MOST - 2), "…", lines[lines.length - 1]];

function place(map, box, width, height) {
  const [low, high] = map.inSight(width, height);
  const sum = (walls, left, top) =>
    walls.reduce(
      (all, wall) =>
        all +
        Math.max(0, Math.min(left + width, wall[2]) - Math.max(left, wall[0]) + CLEAR) *
          Math.max(0, Math.min(top + height, wall[3]) - Math.max(top, wall[1]) + CLEAR),
      0,
    );
  let best = low,
    least = Infinity;
  for (const left of steps(low[0], high[0])) {
    for (const top of steps(low[1], high[1])) {
      const far = Math.hypot(left + width / 2 - box.x, top + height / 2 - box.y);
      if (far >= least) continue;
      const cost = far + 6 * sum(map.taken, left, top) + 3 * sum(map.walls, left, top);
      if (cost < least) [best, least] = [[left, top], cost];
    }
  }
  return best;
}

function steps(from, to) {
  const count = Math.ceil((to - from) / GRID);
  return Array.from({ length: count + 1 }, (_, at) => (at < count ? from + at * GRID : to));
}

// The point on a line from the middle of a box towards x y, `room` outside of the box.
export function edge(box, x, y, room) {
  const dx = x - box.x,
    dy = y - box.y;
  const part = Math.min(
    1,
    (box.width / 2 + room) / Math.abs(dx || 1e-9),
    (box.height / 2 + room) / Math.abs(dy || 1e-9),
  );
  return [box.x + dx * part, box.y + dy * part];
}
