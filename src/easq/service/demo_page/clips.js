// The clips of the demo: drawn while they play, so there are no files.

const TOPICS = {
  sea: ["#0b3d66", "#2b8fc4", "#bfe8f5"],
  city: ["#1c1240", "#7a5cd6", "#ffd37a"],
  garden: ["#163d24", "#4aa35a", "#f7c6d8"],
  space: ["#0a0a1f", "#e0873a", "#ffe9c4"],
};
const MOODS = ["calm", "drifting", "bright", "quick", "wild"];

export const CLIPS = Object.keys(TOPICS).flatMap((topic) =>
  MOODS.map((mood, n) => ({
    id: `${topic}-${mood}`,
    title: `${mood[0].toUpperCase()}${mood.slice(1)} ${topic}`,
    topic,
    mood,
    pace: n + 1,
    seconds: 8 + 2 * ((n * 3) % 4),
  })),
);

const DRAW = { sea: waves, city: windows, garden: flowers, space: orbits };
const WIDTH = 360;
const HEIGHT = 600;

/** Return a canvas and a function that draws a clip on it at a time in seconds. */
export function makeScreen() {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [WIDTH, HEIGHT];
  const pen = canvas.getContext("2d");
  function draw(clip, seconds) {
    const [dark, mid, light] = TOPICS[clip.topic];
    const sky = pen.createLinearGradient(0, 0, 0, HEIGHT);
    sky.addColorStop(0, dark);
    sky.addColorStop(1, mid);
    pen.fillStyle = sky;
    pen.fillRect(0, 0, WIDTH, HEIGHT);
    pen.fillStyle = light;
    DRAW[clip.topic](pen, seconds * (0.3 + 0.35 * clip.pace), clip.pace);
  }
  return { canvas, draw };
}

function waves(pen, t, pace) {
  disc(pen, 260, 150, 46);
  pen.globalAlpha = 0.28;
  for (let layer = 0; layer < 5; layer++) {
    pen.beginPath();
    pen.moveTo(0, HEIGHT);
    for (let x = 0; x <= WIDTH; x += 8)
      pen.lineTo(x, 300 + layer * 50 + (6 + 4 * pace) * Math.sin(x / 50 + t + layer * 1.7));
    pen.lineTo(WIDTH, HEIGHT);
    pen.fill();
  }
  pen.globalAlpha = 1;
}

function windows(pen, t, pace) {
  for (let column = 0; column < 6; column++) {
    const height = 180 + 60 * ((column * 7) % 5);
    pen.globalAlpha = 0.18;
    pen.fillRect(column * 62, HEIGHT - height, 54, height);
    for (let row = 0; row * 34 < height - 30; row++) {
      pen.globalAlpha = Math.sin(t + column * 2.1 + row * 1.3) > 0.6 - 0.15 * pace ? 0.9 : 0.12;
      pen.fillRect(column * 62 + 10, HEIGHT - height + 14 + row * 34, 12, 16);
      pen.fillRect(column * 62 + 32, HEIGHT - height + 14 + row * 34, 12, 16);
    }
  }
  pen.globalAlpha = 1;
}

function flowers(pen, t, pace) {
  for (let n = 0; n < 9; n++) {
    const x = 40 + ((n * 113) % 290);
    const y = 190 + ((n * 71) % 350);
    for (let petal = 0; petal < 6; petal++) {
      const angle = t + n + (petal * Math.PI) / 3;
      disc(pen, x + Math.cos(angle) * 18, y + Math.sin(angle) * 18, 9 + pace + 3 * Math.sin(t + n));
    }
  }
}

function orbits(pen, t, pace) {
  disc(pen, WIDTH / 2, HEIGHT / 2, 44);
  for (let n = 1; n <= 3 + pace; n++) {
    const [angle, far] = [(t * 2) / n + n, 60 + n * 26];
    disc(pen, WIDTH / 2 + Math.cos(angle) * far * 0.8, HEIGHT / 2 + Math.sin(angle) * far, 5 + (n % 3) * 3);
  }
}

function disc(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  pen.fill();
}
