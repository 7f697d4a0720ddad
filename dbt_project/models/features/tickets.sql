with {{ masked_texts(ref('stg_tickets'), ['subject', 'text']) }},

hashed as (
    select
        ticket_id,
        product_id,
        full_text as text,
        {{ text_hash('full_text') }} as text_hash,
        opened_at
    from masked
)

select * from hashed
order by ticket_id
