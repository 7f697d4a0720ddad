{# As `unique`, of the rows that may differ from the night before. #}
{% test unique_since_rebuild(model, column_name, event_time) %}
select
    {{ column_name }},
    count(*) as row_count
from {{ model }}
where {{ column_name }} is not null and {{ event_time }} >= {{ rebuild_from() }}
group by {{ column_name }}
having count(*) > 1
{% endtest %}
