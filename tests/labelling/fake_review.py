"""A server of the review page that needs no folder: as many drawn images as a test asks for."""

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from conftest import draw_image
import mien.core

PAGE_DIR = Path(__file__).parents[2] / "src" / "mien" / "labelling" / "page"
BASE = Path(mien.core.__file__).parent / "base.css"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
IDLE = {"state": "idle", "stage": "", "done": 0, "total": 0, "lines": [], "error": "", "result": None}
QUEUES = [
    ("issues", "Labels to check", "The classifier, which had not seen these images, says another class than their label."),
    ("conflicts", "In two classes", "The same image lies in two classes."),
    ("doubtful", "mien is unsure", "No class stands out."),
    ("all", "All images", "Every image of the folder."),
]


@dataclass
class FakeReview:
    num_images: int = 301
    class_names: tuple[str, ...] = ("happy", "sad")
    names: tuple[str, ...] = ()
    run: str = "runs/train"
    is_down: bool = False
    decisions: dict[int, str] = field(default_factory=dict)
    log: list[tuple[int, list[int], str]] = field(default_factory=list)
    undone: list[list[tuple[int, str]]] = field(default_factory=list)
    training: dict[str, Any] = field(default_factory=lambda: dict(IDLE))
    training_revision: int = 0
    asked: list[str] = field(default_factory=list)
    revision: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def size(self, queue: str) -> int:
        if queue == "issues":
            return self.num_images
        if queue.startswith("class-"):
            return self.num_images // len(self.class_names)
        return self.num_images if queue == "all" else {"conflicts": 0, "doubtful": 7}.get(queue, 7)

    def state(self) -> dict[str, Any]:
        classes = [(f"class-{n}", name, f"All images labelled {name}.") for n, name in enumerate(self.class_names)]
        queues = [{"name": n, "title": t, "about": a, "count": self.size(n)} for n, t, a in [*QUEUES, *classes]]
        return {
            "title": "photos", "run": self.run, "decisions_path": "runs/train/decisions.csv",
            "class_names": self.class_names, "queues": queues, "num_images": self.num_images, **self.numbers(), "training": self.training,
        }  # fmt: skip

    def numbers(self) -> dict[str, Any]:
        decided = sum(map(bool, self.decisions.values()))
        return {"num_decided": decided, "revision": self.revision, "can_undo": bool(self.undone)}

    def path(self, number: int) -> str:
        name = self.names[number] if number < len(self.names) else f"{number:06d}.jpg"
        return f"{self.class_names[number % len(self.class_names)]}/{name}"

    def row(self, number: int) -> dict[str, Any]:
        own = number % len(self.class_names)
        other = self.class_names[(own + 1) % len(self.class_names)]
        return {
            "id": number, "path": self.path(number), "label": self.class_names[own],
            "decision": self.decisions.get(number, ""), "note": f"looks {other} ({60 + number % 40}%)", "version": "v1",
        }  # fmt: skip

    def images(self, queue: str, start: int, count: int, name: str) -> dict[str, Any]:
        numbers: Any = range(self.size(queue))
        if name:
            numbers = [number for number in numbers if name.lower() in self.path(number).lower()]
        return {"total": len(numbers), "images": [self.row(number) for number in numbers[start : start + count]]}

    def change(self, values: list[tuple[int, str]]) -> dict[str, Any]:
        self.revision += 1
        for number, decision in values:
            self.decisions[number] = decision
        self.log.append((self.revision, [number for number, _ in values], values[0][1] if values else ""))
        changed = [{"id": number, "decision": decision} for number, decision in values]
        return {**self.numbers(), "changed": changed}

    def decide(self, ids: list[int], decision: str) -> dict[str, Any]:
        self.undone.append([(number, self.decisions.get(number, "")) for number in ids])
        return self.change([(number, decision) for number in ids])

    def changes(self, revision: int) -> dict[str, Any]:
        ids = {number for at, numbers, _ in self.log if at > revision for number in numbers}
        changed = [{"id": number, "decision": self.decisions[number]} for number in sorted(ids)]
        return {**self.numbers(), "changed": changed, "training_revision": self.training_revision}

    def answer(self, method: str, path: str, query: dict[str, str], content: dict[str, Any]) -> tuple[int, Any]:
        with self.lock:
            match method, path:
                case "GET", "state":
                    return 200, self.state()
                case "GET", "images":
                    return 200, self.images(query["queue"], int(query["start"]), int(query["count"]), query.get("name", ""))
                case "GET", "changes":
                    return 200, self.changes(int(query["revision"]))
                case "GET", "training":
                    return 200, self.training
                case "POST", "decide":
                    return 200, self.decide(content["ids"], content["decision"])
                case "POST", "undo":
                    if not self.undone:
                        return 409, {"error": "There is nothing to undo."}
                    return 200, {**self.change(self.undone.pop()), **self.numbers()}
                case "POST", "train":
                    self.training = {**IDLE, "state": "running", "stage": "Features", "done": 10, "total": 100, "lines": ["301 images"]}
                    return 202, {}
            return 404, {"error": "there is no such page"}


@cache
def picture(number: int) -> bytes:
    file = io.BytesIO()
    width, height = [(320, 320), (320, 200), (180, 320)][number % 3]
    draw_image(number, width=width, height=height).save(file, "JPEG")
    return file.getvalue()


@contextmanager
def fake_review(**settings: Any) -> Iterator[FakeReview]:
    review = FakeReview(**settings)

    class Visit(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path = parts.path.removeprefix("/")
            if review.is_down and not path.startswith("page"):
                self.close_connection = True
                return
            if path == "":
                self.file(PAGE_DIR / "review.html")
            elif path.startswith("page/"):
                name = path.removeprefix("page/")
                self.file(BASE if name == "base.css" else PAGE_DIR / name)
            elif path.startswith(("thumbnail/", "picture/")):
                review.asked.append(path)
                self.send(200, picture(int(path.split("/")[1]) % 24), "image/jpeg")
            else:
                length = int(self.headers.get("Content-Length", 0))
                content = json.loads(self.rfile.read(length)) if length else {}
                status, answer = review.answer(self.command, path, dict(parse_qsl(parts.query)), content)
                self.send(status, json.dumps(answer).encode(), "application/json")

        do_POST = do_GET

        def file(self, path: Path) -> None:
            self.send(200, path.read_bytes(), KINDS[path.suffix])

        def send(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *args: object) -> None:
            """Say nothing of clients that were killed."""

    with Server(("127.0.0.1", 0), Visit) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        review.url = f"http://127.0.0.1:{server.server_port}/"
        yield review
        server.shutdown()
