{# What strangers wrote, made fit to be learned from, quoted and shown, in steps of one query each: visible_text, mask_ibans, mask_cards,
   mask_forms. Personal data give way to [email], [card], [iban], [id], [phone], [contact] and [address]; the original stays in the
   raw table. Prices, years, dates, sizes, numbers of models and articles stay: a number is taken for personal where its check
   digits, the form its country writes it in, or the word before it say so. Every pattern is linear in time (RE2). #}

{# CTEs that join texts of a relation and mask them, step by step so that no expression is made twice; the last one, `masked`, has all its columns and
   full_text. #}
{% macro masked_texts(relation, texts) -%}
visible as (
    select
        *,
        {{ visible_text(join_texts(texts)) }} as full_text
    from {{ relation }}
),

without_accounts as (
    select
        * exclude (full_text),
        {{ mask_ibans('full_text') }} as full_text
    from visible
),

without_cards as (
    select
        * exclude (full_text),
        {{ mask_cards('full_text') }} as full_text
    from without_accounts
),

masked as (
    select
        * exclude (full_text),
        trim({{ mask_forms('full_text') }}) as full_text
    from without_cards
)
{%- endmacro %}

{# The first characters of a text. Zero-width characters and marks that turn the direction of writing are gone (they would also part an address so that no pattern sees
   it), other control characters but for line breaks are
   blanks, digits of full width plain ones. #}
{% macro visible_text(text) -%}
    translate(regexp_replace(
        regexp_replace(left({{ text }}, {{ var('review_max_chars') }}), '[\x{AD}\x{61C}\x{180E}\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{206F}\x{FEFF}]+', '', 'g'),
        '[\x00-\x09\x0B-\x1F\x7F-\x{9F}\x{2028}\x{2029}]+', ' ', 'g'
    ), '０１２３４５６７８９＠＋－．', '0123456789@+-.')
{%- endmacro %}

{# Masks what its form alone gives away: addresses, numbers of phones and people. #}
{% macro mask_forms(text) -%}
    {%- set masked = namespace(text=text) -%}
    {%- for placeholder, patterns in personal_forms() -%}
        {%- set masked.text = 'regexp_replace(' ~ masked.text ~ ', ' ~ quote(patterns | join('|')) ~ ', ' ~ quote(placeholder) ~ ", 'g')" -%}
    {%- endfor -%}
    case when regexp_matches({{ text }}, '[0-9@%]|(?i:\bat\b|arroba)') then {{ masked.text }} else {{ text }} end
{%- endmacro %}

{# Pairs of a placeholder and its patterns, in the order they are looked for; where the placeholder asks for it, a pattern's group is kept. #}
{% macro personal_forms() -%}
    {%- set states = 'A[KLRZ]|C[AOT]|DC|DE|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY]' -%}
    {%- set said = '(?i:phone|mobile|cell|tel|telephone|telefon|telefone|fone|celular|whats ?app|zap|call me|text me|handy|ligue)' -%}
    {{ return([
        ('[email]', [
            '[\\w.+-]+(?:@|%40)[\\w-]+(?:\\.[\\w-]+)*\\.[A-Za-z]{2,}',
            '(?i:\\b[\\w.+-]+ ?[\\[(] ?(?:at|arroba) ?[\\])] ?[\\w-]+(?: ?(?:[\\[(] ?(?:dot|ponto) ?[\\])]|\\.) ?[a-z]{2,})+)',
            '(?i:\\b[\\w.+-]+ at [\\w-]+ dot (?:com|net|org|edu|br|de|uk|cn)\\b)',
        ]),
        ('[id]', [
            '\\b\\d{3}\\.\\d{3}\\.\\d{3}-\\d{2}\\b',
            '\\b\\d{2}\\.\\d{3}\\.\\d{3}/\\d{4}-\\d{2}\\b',
            '\\b[1-9]\\d{5}(?:19|20)\\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\\d|3[01])\\d{3}[\\dXx]\\b',
            '\\b\\d{3}-\\d{2}-\\d{4}\\b',
        ]),
        ('\\1[id]', ['((?i:\\bcpf)[^\\w]{0,5})\\d{11}\\b']),
        ('[phone]', [
            '\\+\\d(?:[ .()/-]{0,2}\\d){7,14}\\b',
            '\\b1[3-9]\\d(?:\\d{8}|[ -]\\d{4}[ -]\\d{4})\\b',
            '(?:\\b1[ .-])?(?:\\([2-9]\\d{2}\\) ?[2-9]\\d{2}[ -]|\\b[2-9]\\d{2}-[2-9]\\d{2}-|\\b[2-9]\\d{2}\\.[2-9]\\d{2}\\.|\\b[2-9]\\d{2} [2-9]\\d{2}[ -])\\d{4}\\b',
            '\\(0?[1-9]{2}\\) ?9?[ .]?\\d{4}[ .-]?\\d{4}\\b',
            '\\b[1-9]{2} ?9\\d{4}[-. ]\\d{4}\\b',
            '\\b9\\d{4}-\\d{4}\\b',
            '\\b0\\d{2,3}-\\d{7,8}\\b',
            '\\b0\\d{2,5} ?[/-] ?\\d{5,8}\\b',
            '\\b0[1-9]\\d(?:\\d \\d{3}| \\d{4}) \\d{4}\\b',
            '\\b0[1-9]\\d{3} \\d{3} ?\\d{3}\\b',
            '\\b0[1-9](?:[ .-]\\d{2}){4}\\b',
        ]),
        ('\\1[phone]', [
            '((?:\\b' ~ said ~ '\\b|电话|手机|联系方式)[^\\d\\n\\]]{0,12})(?:\\d{7,12}|\\d{3}[ .-]\\d{4}|\\d{4}-\\d{4})\\b',
        ]),
        ('\\1[contact]', ['((?i:QQ|微信|wechat)[^\\w\\n]{0,3}(?:号|id)?[^\\w\\n]{0,3})(?:\\d{5,12}|[a-z][\\w-]*\\d[\\w-]*)\\b']),
        ('[address]', [
            '\\b\\d{1,5}[A-Za-z]? (?:(?:[NSEW]|North|South|East|West)\\.? )?(?:[A-Z][\\w\\x27.]* ){1,4}(?:Street|St\\.|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Highway|Hwy)\\b\\.?(?:,? (?:Apt|Apartment|Suite|Unit|#)\\.? ?\\w{1,6})?',
            '\\b\\d{2,5} (?:(?:[NSEW]|North|South|East|West)\\.? )?(?:[A-Z][a-z]+ ){1,3}(?:St|Drive|Dr|Court|Ct|Place|Way|Terrace)\\b\\.?,? (?:Apt|Apartment|Suite|Unit|#|(?:[A-Z][a-z]+ ){0,2}[A-Z][a-z]+,? (?:' ~ states ~ ')\\b)\\.? ?\\w{0,6}',
            '\\b(?:' ~ states ~ '),? \\d{5}(?:-\\d{4})?\\b',
            '(?i:\\bP\\.? ?O\\.? ?Box \\d+)',
            '\\b[A-ZÄÖÜ][a-zäöüß]+(?:straße|strasse|str\\.|weg|platz|allee|gasse) \\d{1,4}[a-z]?\\b',
            '\\b\\d{1,4},? (?:bis |ter )?(?:rue|avenue|boulevard|chemin) (?:de |du |des |la |d\\x27)*[A-Z][\\w\\x27-]+(?: [A-Z][\\w\\x27-]+)*',
            '\\b(?:Rua|RUA|Avenida|AVENIDA|Av\\.|Travessa|Alameda|Rodovia) (?:d[aeo]s? )?\\p{Lu}[^,.;\\n\\d]{2,50},? (?i:n[º°o.]{0,2} ?)?\\d{1,5}\\b',
            '\\b\\d{5}-\\d{3}\\b',
            '\\p{Han}{2,20}(?:路|街|道|巷|弄)\\d{1,5}号(?:\\p{Han}{0,6}\\d{1,5}(?:号|室|栋|楼|单元))*',
        ]),
        ('\\1[address]', ['((?i:\\bCEP)[^\\w]{0,3})\\d{8}\\b']),
    ]) }}
{%- endmacro %}

{# Cards by the check of Luhn (1960); 14 to 19 digits, since the 13 of an ISBN or EAN pass it by chance one time in ten. #}
{% macro mask_cards(text) -%}
    {%- set forms = [
        '\\b[2-6]\\d{3}[ -]?\\d{4}[ -]?\\d{4}[ -]?\\d{4}\\b', '\\b3[47]\\d{2}[ -]?\\d{6}[ -]?\\d{5}\\b', '\\b[2-6]\\d(?:[ -]?\\d){12,17}\\b'
    ] -%}
    {%- set digits = "reverse(regexp_replace(word, '\\D', '', 'g'))" -%}
    {%- set passes -%}
        list_sum(list_transform(
            range(1, length({{ digits }}) + 1),
            lambda place: case
                when place % 2 = 1 then cast({{ digits }}[place] as integer)
                else (cast({{ digits }}[place] as integer) * 2) % 10 + (cast({{ digits }}[place] as integer) * 2) // 10
            end
        )) % 10 = 0
    {%- endset -%}
    {{ mask_words(text, '\\d(?:[ -]?\\d){13}', forms | join('|'), passes, '[card]') }}
{%- endmacro %}

{# Bank accounts by their check digits (ISO 13616): the number modulo 97, letters as 10 to 35, its first four signs last. #}
{% macro mask_ibans(text) -%}
    {%- set powers = [] -%}
    {%- for place in range(70) %}{% set _ = powers.append((10 ** place) % 97) %}{% endfor -%}
    {%- set digits -%}
        reverse(array_to_string(list_transform(
            string_split(regexp_replace(replace(word, ' ', ''), '^(.{4})(.*)$', '\2\1'), ''),
            lambda sign: case when sign between 'A' and 'Z' then cast(ascii(sign) - 55 as varchar) else sign end
        ), ''))
    {%- endset -%}
    {%- set passes -%}
        list_sum(list_transform(
            range(1, length({{ digits }}) + 1),
            lambda place: cast({{ digits }}[place] as integer) * {{ powers }}[place]
        )) % 97 = 1
    {%- endset -%}
    {{ mask_words(text, '\\b[A-Z]{2}\\d{2} ?[A-Z0-9]{4}', '\\b[A-Z]{2}\\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\\b', passes, '[iban]') }}
{%- endmacro %}

{# Masks the words of a form, made of digits, capitals, blanks and hyphens, that pass a test; `worth_looking` is a cheap sign that one may be there. #}
{% macro mask_words(text, worth_looking, form, passes, placeholder) -%}
    case
        when regexp_matches({{ text }}, {{ quote(worth_looking) }}) then regexp_replace(
            {{ text }},
            coalesce(nullif(array_to_string(list_filter(
                regexp_extract_all({{ text }}, {{ quote(form) }}), lambda word: {{ passes }}
            ), '|'), ''), '[^\s\S]'),
            {{ quote(placeholder) }}, 'g'
        )
        else {{ text }}
    end
{%- endmacro %}
