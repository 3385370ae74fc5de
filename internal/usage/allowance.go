package usage

// Unlimited is the limit of a bot without a limit.
const Unlimited = -1

// daysPerMonth is the ratio of the monthly to the daily limit. It is the same for months of any length, as is a plan's price.
const daysPerMonth = 30

// Allowance has the plan's limits, and the numbers of conversations left. All four are Unlimited if the plan has no limit.
type Allowance struct {
	DailyLimit       int64
	DailyRemaining   int64
	MonthlyLimit     int64
	MonthlyRemaining int64
}

// NewAllowance returns the allowance of a bot. dailyLimit is its conversations a day, today the number opened today, and
// month the month's quota. The limits are the plan's, without top-ups; MonthlyRemaining includes top-ups. Remainders are
// never below 0. A negative dailyLimit means Unlimited.
func NewAllowance(dailyLimit, today int64, month Quota) Allowance {
	if dailyLimit < 0 {
		return Allowance{Unlimited, Unlimited, Unlimited, Unlimited}
	}
	return Allowance{
		DailyLimit:       dailyLimit,
		DailyRemaining:   max(0, dailyLimit-max(0, today)),
		MonthlyLimit:     month.Limit,
		MonthlyRemaining: month.Remaining(),
	}
}
