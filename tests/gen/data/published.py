"""Tiny data sets in the published formats, and a server in this process that publishes them."""

import gzip
import hashlib
import io
import tarfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from gen.data.named import NAMED

RANDOM = np.random.default_rng(5)


def idx(array):
    """Return ``array``, uint8, as a gzipped IDX file."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(header + array.tobytes(), mtime=0)


def tiny(name, train=30, test=20):
    """Return (arrays, {file: bytes}) of a small set in the published form of ``name``."""
    shape = NAMED[name].shape
    arrays = {}
    for split, count in (("train", train), ("test", test)):
        arrays[f"x_{split}"] = RANDOM.integers(0, 256, (count, *shape), np.uint8)
        arrays[f"y_{split}"] = RANDOM.integers(0, 10, count, np.uint8)
    files = dict(zip(NAMED[name].files, map(idx, arrays.values()))) if name != "cifar10" else {
        "cifar-10-binary.tar.gz": cifar(arrays)
    }
    return arrays, files


def cifar(arrays):
    """Return the arrays as ``cifar-10-binary.tar.gz``."""
    def records(split):
        x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
        return np.concatenate([y[:, None], x.reshape(len(x), -1)], axis=1)

    parts = {f"data_batch_{n + 1}.bin": part for n, part in enumerate(np.array_split(records("train"), 5))}
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, part in {**parts, "test_batch.bin": records("test")}.items():
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                member.size = part.size
                archive.addfile(member, io.BytesIO(part.tobytes()))
        return file.getvalue()


def publish(monkeypatch, name, files, *urls):
    """Make ``files`` the published ones of ``name``, to be had from ``urls``."""
    md5 = {file: hashlib.md5(data).hexdigest() for file, data in files.items()}
    monkeypatch.setitem(NAMED, name, replace(NAMED[name], files=md5, urls=urls))


class Server:
    """``url``; ``files``: path to bytes, missing ones are 404; ``cut``: paths sent by half; ``asked``: paths so far."""

    def __init__(self, url):
        self.url, self.files, self.cut, self.asked = url, {}, set(), []
        self.before = lambda: None  # called before every answer


@contextmanager
def serving():
    """Yield a running `Server`."""
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.strip("/")
            server.asked.append(path)
            server.before()
            if path not in server.files:
                self.send_error(404)
                return
            data = server.files[path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if path in server.cut else data)

        def log_message(self, *_):
            """Tests have nothing to say on standard error."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{http.server_address[1]}/")
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
