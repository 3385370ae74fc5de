package usage

// Unlimited is the limit of a bot that may hold as many conversations as it likes.
const Unlimited = -1

// daysPerMonth turns a daily limit into a monthly one, whatever the month's length: a plan's price doesn't follow the
// calendar.
const daysPerMonth = 30

// Allowance is how many conversations a restaurant may hold, and how many of them are left. All four are Unlimited
// where the plan has no limit.
type Allowance struct {
	DailyLimit       int64
	DailyRemaining   int64
	MonthlyLimit     int64
	MonthlyRemaining int64
}

// NewAllowance returns the allowance of a bot that may open dailyLimit conversations a day, of which it opened today
// today and thisMonth this month. What remains is never below 0; a negative dailyLimit means Unlimited.
func NewAllowance(dailyLimit, today, thisMonth int64) Allowance {
	if dailyLimit < 0 {
		return Allowance{Unlimited, Unlimited, Unlimited, Unlimited}
	}
	monthlyLimit := dailyLimit * daysPerMonth
	return Allowance{
		DailyLimit:       dailyLimit,
		DailyRemaining:   max(0, dailyLimit-today),
		MonthlyLimit:     monthlyLimit,
		MonthlyRemaining: max(0, monthlyLimit-thisMonth),
	}
}
