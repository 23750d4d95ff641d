const start = `# Runledger: system of record for code agents
#
#   Ctrl-Enter  runs the operation
#   Ctrl-Space  suggests what fits
#
# On the left: the documentation, the history,
# and an explorer to build operations with.

query RecentExecutions {
  # Who you are, by the token in the bar.
  viewer {
    userId
    tenantId
    role
    expiresAt
  }
  # The newest executions you may see.
  executions(first: 10) {
    totalCount
    nodes {
      id
      name
      status
      mode
      createdAt
      durationMs
      costUsd
      tokens {
        total
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`;

const follow = `# Follows the log of one execution: its newest
# 100 lines, then each new one as it arrives.
# Put the execution's id into the variables below,
# then run. The newest batch is shown; the stop
# button ends the subscription.

subscription FollowLog($executionId: ID!) {
  logTail(executionId: $executionId, last: 100) {
    lines {
      seq
      timestamp
      level
      message
    }
    nextSeq # resume here with fromSeq
    caughtUp
    ended
  }
}
`;

/** What a first visitor finds; afterwards GraphiQL remembers the visitor's own tabs. */
export const defaultTabs = [
  { query: start },
  { query: follow, variables: '{\n  "executionId": ""\n}' },
];
