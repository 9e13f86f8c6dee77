CREATE TABLE tenants (
    tenant_id  text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
    key_id     text PRIMARY KEY,
    tenant_id  text NOT NULL REFERENCES tenants,
    name       text NOT NULL,
    hint       text NOT NULL,
    key_hash   text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE conversations (
    conversation_id text PRIMARY KEY,
    tenant_id       text NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    responses       bigint NOT NULL DEFAULT 0,
    input_tokens    bigint NOT NULL DEFAULT 0,
    output_tokens   bigint NOT NULL DEFAULT 0
);

CREATE TABLE responses (
    response_id          text PRIMARY KEY,
    tenant_id            text NOT NULL,
    conversation_id      text NOT NULL REFERENCES conversations,
    previous_response_id text,
    model                text NOT NULL,
    status               text NOT NULL,
    version              bigint NOT NULL,
    created_at           timestamptz NOT NULL,
    ended_at             timestamptz NOT NULL,
    input_tokens         bigint NOT NULL DEFAULT 0,
    output_tokens        bigint NOT NULL DEFAULT 0,
    input                jsonb NOT NULL,
    response             jsonb NOT NULL
);

CREATE INDEX responses_by_conversation ON responses (conversation_id, created_at);
CREATE INDEX responses_by_tenant ON responses (tenant_id, created_at);
