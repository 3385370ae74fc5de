package usage

// Unlimited is the limit of a bot that may hold as many conversations as it likes.
const Unlimited = -1

// daysPerMonth turns a daily limit into a monthly one, for months of any length: a plan's price doesn't follow the calendar.
const daysPerMonth = 30

// Allowance is the plan's limits and how many conversations are left. All four are Unlimited where the plan has no limit.
type Allowance struct {
	DailyLimit       int64
	DailyRemaining   int64
	MonthlyLimit     int64
	MonthlyRemaining int64
}

// NewAllowance returns the allowance of a bot with dailyLimit conversations a day, of which today are opened, and with the
// month's quota. The limits are the plan's, without top-ups; MonthlyRemaining includes the month's top-ups. Remainders are
// never below 0; a negative dailyLimit means Unlimited.
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
