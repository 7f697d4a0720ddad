{# How texts are found that say the same, in time that grows with the texts and never with their pairs. #}

{# The words of a text in small letters, without signs; a Han character is a word. #}
{% macro words_of(text) -%}
    regexp_extract_all(lower({{ text }}), '\p{Han}|[\p{L}\p{N}]+')
{%- endmacro %}

{# How much a list of words says: a word 1, a Han character half as much. #}
{% macro size_of_words(words) -%}
    (len({{ words }}) - 0.5 * len(list_filter({{ words }}, lambda word: regexp_matches(word, '\p{Han}'))))
{%- endmacro %}

{% macro words_as_text(words) -%}
    array_to_string({{ words }}, ' ')
{%- endmacro %}

{# Every three words that follow each other, as numbers. #}
{% macro shingles_of(words) -%}
    list_distinct(list_transform(
        range(1, greatest(len({{ words }}) - 1, 2)), lambda place: hash(array_to_string({{ words }}[place:place + 2], ' '))
    ))
{%- endmacro %}

{# The smallest of the shingles' numbers in `rows` random orders: equal in two texts with the probability of their likeness to the power
   of rows (Broder, 1997). #}
{% macro min_hashes(shingles, band, rows) -%}
    hash({% for row in range(rows) %}list_min(list_transform({{ shingles }}, lambda shingle: hash(shingle, {{ band }} * {{ rows }} + {{ row }}))){{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}

{# Share of the shingles of two texts that both have (Jaccard, 1901). #}
{% macro likeness(one, other) -%}
    (len(list_intersect({{ one }}, {{ other }})) / cast(len(list_distinct(list_concat({{ one }}, {{ other }}))) as double))
{%- endmacro %}
