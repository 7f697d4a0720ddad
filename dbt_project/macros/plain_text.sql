{# Names and texts of products as a shopper should read them: without entities, markup, invisible signs and scraped code. #}

{# NULL where nothing is left to read, or where it is a page's script or style that a scraper took for the text. Costs one look at a text
   that is plain already. #}
{% macro plain_text(text) -%}
    case
        when regexp_matches({{ text }}, {{ sign_of_markup() }}) then {{ without_markup(text) }}
        else nullif(trim({{ text }}), '')
    end
{%- endmacro %}

{# The same of each level of a path; `&gt;` between blanks parts levels too. Levels of which nothing is left are left out. #}
{% macro plain_path(path) -%}
    case
        when regexp_matches({{ path }}, {{ sign_of_markup() }}) or regexp_matches({{ path }}, '^ *>|> *$')
            then nullif(array_to_string(list_filter(
                list_transform(
                    string_split_regex(list_transform([{{ path }}], lambda raw: {{ decoded_entities('raw') }})[1], '(?:^|\s+)>(?:\s+|$)'),
                    lambda level: {{ without_markup('level') }}
                ),
                lambda level: level is not null
            ), ' > '), '')
        else nullif(trim({{ path }}), '')
    end
{%- endmacro %}

{# What a text has that is not plain: entities, tags, code, control and invisible signs, any white space but single blanks. #}
{% macro sign_of_markup() -%}
    '[<&{=\pC\p{Zl}\p{Zp}\x{A0}\x{1680}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}]|  '
{%- endmacro %}

{# In this order, for each step may bring to light what the next takes away: entities, what cannot be seen, comments and blocks of code,
   tags (a block's part words, as a line break does), white space. `a < b`, `<3` and `size <10` are no tags. Joiners stay where letters
   are spelt with them, and between the parts of an emoji. #}
{% macro without_markup(text) -%}
    {%- set tag_end = '(?:\\s(?:[^<>"\\x27]|"[^"]*"|\\x27[^\\x27]*\\x27)*/?>|\\s[^<>]*>|/?>)' -%}
    {%- set blocks = 'address|article|aside|blockquote|br|caption|center|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]'
        ~ '|header|hr|iframe|legend|li|main|nav|ol|option|p|pre|section|select|summary|table|tbody|td|tfoot|th|thead|tr|ul' -%}
    {%- set tag = '</?[A-Za-z][\\w:-]*' ~ tag_end ~ '|<[!?][A-Za-z][^<>]*>|</?[A-Za-z][\\w:-]*\\s+[\\w:-]+\\s*=[^<>]*$' -%}
    {%- set steps = [
        ('[\\x00-\\x08\\x0E-\\x1F\\x7F-\\x{84}\\x{86}-\\x{9F}\\x{AD}\\x{61C}\\x{180E}\\x{200B}\\x{200E}\\x{200F}\\x{202A}-\\x{202E}\\x{2060}-\\x{206F}\\x{FEFF}]+', ''),
        ('(^|[\\x00-\\x7F])[\\x{200C}\\x{200D}]+', '\\1'),
        ('(?s)<!--.*?(?:-->|$)', ''),
        ('(?is)<script\\b[^>]*>.*?(?:</script\\s*>|$)', ' '),
        ('(?is)<style\\b[^>]*>.*?(?:</style\\s*>|$)', ' '),
        ('<!\\[CDATA\\[|\\]\\]>', ''),
        ('(?i)</?(?:' ~ blocks ~ ')' ~ tag_end, ' '),
        (tag, ''),
        ('[\\s\\p{Z}\\x{85}]{2,}|[\\t-\\r\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}]', ' ')
    ] -%}
    {%- set cleaned = namespace(text='decoded') -%}
    {%- for pattern, instead in steps -%}
        {%- set cleaned.text = 'regexp_replace(' ~ cleaned.text ~ ', ' ~ quote(pattern) ~ ', ' ~ quote(instead) ~ ", 'g')" -%}
    {%- endfor -%}
    list_transform(
        [{{ decoded_entities(text) }}],
        lambda decoded: list_transform(
            [trim({{ cleaned.text }})],
            lambda plain: case
                when regexp_matches(plain, {{ quote(scraped_code()) }}) then null
                -- Tags that were hidden in each other.
                when regexp_matches(plain, {{ quote(tag) }}) then nullif(trim(replace(plain, '<', '')), '')
                else nullif(plain, '')
            end
        )[1]
    )[1]
{%- endmacro %}

{# How a script or a style sheet begins. #}
{% macro scraped_code() -%}
    ^(?:/\*.*?\*/|//\s*<!\[CDATA\[|[\s;(!+])*(?:(?:var|let|const)\s+[\w$]+\s*=|function\s*[\w$]*\s*\([^)]*\)\s*\{|(?:if|for|while)\s*\([^{}]*\)\s*\{|(?:window|document|P)\.[\w$]+\s*[=(.\[]|\$\(|\{\s*"|@(?:media|import|font-face|charset)\b|[.#@*]?[\w-][^{};]*\{\s*[\w-]+\s*:[^{}]*[;}])
{%- endmacro %}
