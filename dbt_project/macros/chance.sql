{# Probability that of `drawn` rows out of `total`, of which `marked` are marked, at least `found` are marked by chance: the exact one-sided
   test of Fisher (1935). #}
{% macro fisher_tail(found, drawn, marked, total) -%}
    least(1, list_sum(list_transform(
        range(greatest({{ found }}, {{ drawn }} + {{ marked }} - {{ total }}, 0), least({{ drawn }}, {{ marked }}) + 1),
        lambda hits: exp(
            {{ log_choose(marked, 'hits') }} + {{ log_choose('(' ~ total ~ ' - ' ~ marked ~ ')', '(' ~ drawn ~ ' - hits)') }} - {{ log_choose(total, drawn) }}
        )
    )))
{%- endmacro %}

{% macro log_choose(things, chosen) -%}
    (lgamma({{ things }} + 1.0) - lgamma({{ chosen }} + 1.0) - lgamma({{ things }} - {{ chosen }} + 1.0))
{%- endmacro %}
