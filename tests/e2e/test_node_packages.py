"""Functions that bring popular npm packages along in their code (tests/npm, installed by scripts/install-deps)."""

import io
import tarfile

import pytest

from polling import eventually
from sterna import PATIENCE, ROOT, function_path

PACKAGES = ROOT / "tests/npm/node_modules"

HANDLER = """
const { z } = require("zod");
const { PDFDocument } = require("pdf-lib");

const Letter = z.object({ to: z.string().min(1), lines: z.array(z.string()).max(10) });

exports.handle = async (req) => {
  const letter = Letter.safeParse(req.json());
  if (!letter.success) return { status: 422, body: letter.error.issues.map((issue) => issue.path.join(".")) };
  const pdf = await PDFDocument.create();
  const page = pdf.addPage([300, 400]);
  page.drawText([letter.data.to, ...letter.data.lines].join("\\n"), { x: 20, y: 350, size: 12 });
  return { headers: { "Content-Type": "application/pdf" }, body: await pdf.save() };
};
"""


@pytest.fixture(scope="module")
def letters(server):
    """Deployed as an archive, node_modules and all."""
    assert PACKAGES.is_dir(), "run scripts/install-deps test"
    server.deploy("letters", {"handler.js": "exports.handle = () => ({});"}, template="node-http")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        member = tarfile.TarInfo("handler.js")
        member.size = len(HANDLER.encode())
        archive.addfile(member, io.BytesIO(HANDLER.encode()))
        for path in sorted(PACKAGES.rglob("*")):
            if path.is_file() and path.suffix in (".js", ".cjs", ".mjs", ".json"):
                archive.add(path, f"node_modules/{path.relative_to(PACKAGES)}")
    answer = server.request("PUT", f"{function_path('letters')}/code", content=packed.getvalue(),
                            headers={"Content-Type": "application/gzip"})  # fmt: skip
    assert answer.status_code == 200, answer.text
    eventually(lambda: server.call("letters", method="POST", json={}).status_code == 422, PATIENCE)
    return "letters"


def test_zod_refuses_and_pdf_lib_draws(server, letters):
    wrong = server.call(letters, method="POST", json={"to": "", "lines": [1]})
    assert (wrong.status_code, wrong.json()) == (422, ["to", "lines.0"])
    answer = server.call(letters, method="POST", json={"to": "Ada", "lines": ["Hello", "there"]})
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-1.7") and answer.content.rstrip().endswith(b"%%EOF")
