// The counterfoil command.

export {}
