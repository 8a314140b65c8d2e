"""What pages and stylesheets embed, reference by reference."""

from __future__ import annotations

import time

import pytest

from crawler.pages import embeds
from crawler.pages.parse import css_embeds, parse_html
from crawler.pages.thin import MAX_TAGS

PAGE = "http://a.test/dir/page"


@pytest.mark.parametrize(
    ("css", "references"),
    [
        ("a { background: url(a.png) }", ["a.png"]),
        ("a { background: url( 'a b.png' ) }", ["a b.png"]),
        ('a { background: url("a)b.png") }', ["a)b.png"]),
        ("a { background: URL(a.png) no-repeat, url(b.png) }", ["a.png", "b.png"]),
        ("@font-face { src: url(f.woff2) format('woff2'), url(f.woff) }", ["f.woff2", "f.woff"]),
        ("@import 'a.css'; @import url(b.css) screen; @IMPORT \"c.css\" layer(x);", ["a.css", "b.css", "c.css"]),
        ("/* url(no.png) @import 'no.css' */ a { color: red }", []),
        ("a::before { content: 'url(no.png)' }", []),
        ("a::before { content: 'it\\'s url(no.png)'; background: url(a.png) }", ["a.png"]),
        ("@namespace svg url(http://www.w3.org/2000/svg); a { background: url(a.png) }", ["a.png"]),
        ("a { filter: url(#shadow) }", []),
        ("a { background: url(a\\29.png) }", ["a).png"]),
        ("a { background: url(\\61\\000062 c.png) }", ["abc.png"]),
        ("a { background: my-url(no.png) }", []),
        ("a { background: url() }", []),
        ("a { background: url(not closed", []),
        ("a { background: url(cut-off.png", ["cut-off.png"]),
        ("a { background: url(bad url.png) }", []),
        ("@import 'never closed\n; a { background: url(a.png) }", ["a.png"]),
    ],
)
def test_css_refers_to(css: str, references: list[str]) -> None:
    assert list(embeds.in_css(css)) == references


@pytest.mark.parametrize(
    ("srcset", "references"),
    [
        ("a.png", ["a.png"]),
        ("a.png 1x, b.png 2x", ["a.png", "b.png"]),
        ("a.png, b.png", ["a.png", "b.png"]),
        (" a.png 100w,b.png 200w ", ["a.png", "b.png"]),
        ("a,b.png 1x", ["a,b.png"]),
        ("data:image/png;base64,AAAA 1x, b.png 2x", ["data:image/png;base64,AAAA", "b.png"]),
        (",,a.png,,", ["a.png"]),
        ("a.png (x, y) 1x, b.png", ["a.png", "b.png"]),
        ("", []),
    ],
)
def test_a_srcset_refers_to(srcset: str, references: list[str]) -> None:
    assert list(embeds.in_srcset(srcset)) == references


@pytest.mark.parametrize(
    ("html", "urls"),
    [
        ("<img src=a.png>", ["dir/a.png"]),
        ("<img src=' a.png\n' srcset='b.png 2x, /c.png 3x'>", ["dir/a.png", "dir/b.png", "c.png"]),
        ("<picture><source srcset='a.webp'><img src=a.png></picture>", ["dir/a.webp", "dir/a.png"]),
        ("<video src=v.mp4 poster=p.jpg><source src=v.webm><track src=t.vtt></video>",
         ["dir/v.mp4", "dir/p.jpg", "dir/v.webm", "dir/t.vtt"]),
        ("<audio src=a.ogg></audio><embed src=e.swf><object data=o.pdf></object>",
         ["dir/a.ogg", "dir/e.swf", "dir/o.pdf"]),
        ("<script src=/s.js></script><script>var a = '<img src=no.png>'</script>", ["s.js"]),
        ("<link rel='STYLESHEET alternate' href=s.css>", ["dir/s.css"]),
        ("<link rel='shortcut icon' href=/favicon.ico><link rel=next href=no><link rel=preconnect href=//no.test/>",
         ["favicon.ico"]),
        ("<style>@import 's.css'; a { background: url(a.png) }</style>", ["dir/s.css", "dir/a.png"]),
        ("<p style=\"background: url('a.png')\">", ["dir/a.png"]),
        ("<svg><image href=a.svg /></svg><svg><image xlink:href=b.svg /></svg>", ["dir/a.svg", "dir/b.svg"]),
        ("<input type=image src=a.png><input type=text src=no.png>", ["dir/a.png"]),
        ("<body background=a.png>", ["dir/a.png"]),
        ("<img src=data:image/png;base64,AAAA><img src=''><img>", []),
        ("<template><img src=no.png></template><noscript><img src=a.png></noscript>", ["dir/a.png"]),
        ("<img src=a.png><img src=a.png#x>", ["dir/a.png"]),
        ("<base href=/other/><img src=a.png>", ["other/a.png"]),
    ],
)  # fmt: skip
def test_a_page_embeds(html: str, urls: list[str]) -> None:
    document = parse_html(html, PAGE, with_embeds=True)
    assert [link.url for link in document.embeds] == [f"http://a.test/{url}" for url in urls]
    assert {link.rel for link in document.embeds} <= {"embed"}
    assert parse_html(html, PAGE).embeds == []


def test_an_image_tells_of_itself_by_its_alternative_text() -> None:
    (link,) = parse_html("<img src=a.png alt='a  cat'>", PAGE, with_embeds=True).embeds
    assert (link.url, link.text, link.rel) == ("http://a.test/dir/a.png", "a cat", "embed")


def test_what_is_embedded_is_no_link() -> None:
    document = parse_html("<img src=a.png><a href=b>b</a>", PAGE, with_embeds=True)
    assert [link.url for link in document.links] == document.follow == ["http://a.test/dir/b"]


def test_a_page_of_very_many_tags_keeps_what_it_embeds() -> None:
    html = "<p><b>x</b></p>" * MAX_TAGS + "<style>a { background: url(b.png) }</style><img src=a.png><a href=c>c</a>"
    document = parse_html(html, PAGE, with_embeds=True)
    assert {link.url for link in document.embeds} == {"http://a.test/dir/a.png", "http://a.test/dir/b.png"}
    assert document.follow == ["http://a.test/dir/c"]


def test_a_stylesheet_is_joined_to_its_own_url() -> None:
    found = css_embeds("@import 'b.css'; a { background: url(../i/a.png), url(data:x) }", "http://a.test/css/a.css")
    assert [link.url for link in found] == ["http://a.test/css/b.css", "http://a.test/i/a.png"]


@pytest.mark.parametrize(
    "piece", ["url(", "url(a", "/*", "'", "@import '", "\\", "@namespace ", "url('a' ", "@namespace'"]
)
def test_hostile_css_takes_no_time(piece: str) -> None:
    began = time.process_time()
    list(embeds.in_css(piece * 20_000))
    assert time.process_time() - began < 2
