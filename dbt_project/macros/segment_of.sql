{# A customer's segment, from what is known of the customer's active days. #}
{% macro segment_of(active_days, recency_days, gap_days, loyal_days) -%}
    case
        when {{ active_days }} < 2 then 'new'
        when {{ recency_days }} > {{ var('lapsed_after_gaps') }} * {{ gap_days }} then 'lapsed'
        when {{ recency_days }} > {{ var('at_risk_after_gaps') }} * {{ gap_days }} then 'at_risk'
        when {{ active_days }} >= {{ loyal_days }} then 'loyal'
        else 'occasional'
    end
{%- endmacro %}
