package sqltx_test

import "context"

const memberMode = "sqltx/member"

func runMember(context.Context) int { return 0 }
