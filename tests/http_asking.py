"""Requests to an application, in this process: whole ones, and such as only a faulty or hostile client makes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
from fastapi import FastAPI

from conftest import draw_image, encoded
from mien.config import ServeConfig
from mien.serving.app import create_app
from onnx_models import colour_classifier

JPEG = encoded(draw_image(0), "JPEG")
PNG = encoded(draw_image(1), "PNG")
BOUNDARY = "---------------------------26031987"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def app_of(**settings: Any) -> FastAPI:
    """Return an application that tells dark, red and green images apart, at once."""
    return create_app(colour_classifier(), ServeConfig(**{"access_log": False, **settings}))


def part(content: bytes, name: str | None = "a.jpg", field: str = "files") -> bytes:
    file = "" if name is None else f'; filename="{name}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


async def ask_in_loop(app: FastAPI, method: str, path: str, **options: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path, **options)


def ask(app: FastAPI, method: str, path: str, **options: Any) -> httpx.Response:
    return asyncio.run(ask_in_loop(app, method, path, **options))


def post(app: FastAPI, *files: tuple[str, bytes], path: str = "/predict") -> httpx.Response:
    """Send files in a form."""
    return ask(app, "POST", path, files=[("files", file) for file in files])


def sent_slowly(*chunks: bytes, pause_s: float = 0.02) -> AsyncIterator[bytes]:
    async def send() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk
            await asyncio.sleep(pause_s)

    return send()
