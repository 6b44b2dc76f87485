"""The page that describes the API: Swagger UI from the server's own address, under a policy."""

from http_asking import app_of, ask


def test_the_description_of_the_api_loads_nothing_from_elsewhere() -> None:
    app = app_of()
    page = ask(app, "GET", "/docs")
    assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]
    for path, kind in (("docs.js", "javascript"), ("swagger-ui-bundle.js", "javascript"), ("swagger-ui.css", "css")):
        assert f'"docs/{path}"' in page.text
        file = ask(app, "GET", f"/docs/{path}")
        assert file.status_code == 200 and kind in file.headers["content-type"]
    assert "http" not in page.text and "<script>" not in page.text and "style=" not in page.text
    assert ask(app, "GET", "/docs/../server.py").status_code == 404
