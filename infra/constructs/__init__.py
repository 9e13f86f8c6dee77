"""Parts that the stacks are composed of, grouped by capability. They import no stack."""
