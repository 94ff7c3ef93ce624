"""Who answers: replayed policies, trained routers, a check of providers, advice from the ledger."""
