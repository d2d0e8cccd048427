#include "gateway/health.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/log.h"

namespace sterna::gateway {
namespace {

using Json = nlohmann::ordered_json;

bool is_same(const Trouble& one, const Trouble& other) {
  return one.component == other.component && one.reason == other.reason;
}

}  // namespace

Health::Health(const Clock& clock, prometheus::Registry& metrics)
    : clock_(clock),
      problems_(prometheus::BuildGauge()
                    .Name("sterna_problem")
                    .Help("1 while the server has this problem; /readyz says more")
                    .Register(metrics)),
      ready_(prometheus::BuildGauge()
                 .Name("sterna_ready")
                 .Help("1 while /readyz answers 200")
                 .Register(metrics)
                 .Add({})) {
  ready_.Set(1);
}

void Health::update(std::string_view source, const std::vector<Trouble>& seen) {
  const MonotonicTime now = clock_.now();
  for (const Trouble& trouble : seen) {
    const auto found = std::ranges::find_if(known_, [&](const Known& known) {
      return known.source == source && is_same(known.trouble, trouble);
    });
    if (found == known_.end()) {
      begin(source, trouble);
    } else {
      found->trouble = trouble;
      found->seen = now;
    }
  }
  for (std::size_t i = 0; i < known_.size();) {
    if (known_[i].source != source || now - known_[i].seen < kCalm) {
      ++i;
      continue;
    }
    const Known ended = std::move(known_[i]);
    known_.erase(known_.begin() + static_cast<std::ptrdiff_t>(i));
    end(ended);
  }
  ready_.Set(is_ready() ? 1 : 0);
}

void Health::drain(std::string_view detail) {
  update("drain", {{.component = "gateway",
                    .reason = "draining",
                    .detail = std::string(detail),
                    .severity = Severity::kNotReady}});
}

void Health::begin(std::string_view source, const Trouble& trouble) {
  const MonotonicTime now = clock_.now();
  Known known{.source = std::string(source),
              .trouble = trouble,
              .since = clock_.wall(),
              .began = now,
              .seen = now,
              .gauge = &problems_.Add({{"component", trouble.component}, {"reason", trouble.reason}})};
  known.gauge->Set(1);
  known_.push_back(std::move(known));
  log::warn("a problem begins", {{"component", std::string_view(trouble.component)},
                                 {"reason", std::string_view(trouble.reason)},
                                 {"detail", std::string_view(trouble.detail)}});
}

void Health::end(const Known& known) {
  const bool told_by_another =
      std::ranges::any_of(known_, [&](const Known& other) { return is_same(other.trouble, known.trouble); });
  if (!told_by_another) known.gauge->Set(0);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(known.seen - known.began);
  log::info("a problem is over", {{"component", std::string_view(known.trouble.component)},
                                  {"reason", std::string_view(known.trouble.reason)},
                                  {"seconds", static_cast<std::int64_t>(seconds.count())}});
}

bool Health::is_ready() const {
  return std::ranges::none_of(
      known_, [](const Known& known) { return known.trouble.severity == Severity::kNotReady; });
}

std::string Health::to_json() const {
  Json problems = Json::array();
  for (const Known& known : known_) {
    problems.push_back({{"component", known.trouble.component},
                        {"reason", known.trouble.reason},
                        {"detail", known.trouble.detail},
                        {"since", format_rfc3339(known.since)}});
  }
  const std::string_view status = known_.empty() ? "ready" : is_ready() ? "degraded" : "not_ready";
  return Json({{"status", status}, {"problems", std::move(problems)}})
             .dump(-1, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

}  // namespace sterna::gateway
