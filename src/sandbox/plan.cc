#include "sandbox/plan.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

namespace sterna::sandbox {
namespace {

constexpr std::size_t kMaxHostname = 63;

std::unexpected<Error> bad(std::string_view field, std::string_view rule) {
  return fail(Code::kInvalid, Component::kWorker, "bad_sandbox_plan",
              std::string(field) + ": " + std::string(rule));
}

bool is_hostname(std::string_view text) {
  if (text.empty() || text.size() > kMaxHostname || text.front() == '-' || text.back() == '-') return false;
  for (const char c : text) {
    const bool ok =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    if (!ok) return false;
  }
  return true;
}

bool is_clean_path(std::string_view path) {
  return path.size() > 1 && path.size() < 4096 && path.front() == '/' &&
         path.find('\0') == std::string_view::npos;
}

// Takes the members of an object one by one, remembering the first fault.
class Reader {
 public:
  explicit Reader(const nlohmann::json& json) : json_(json) {}

  void text(const char* name, std::string& out) {
    if (const auto* value = take(name)) {
      if (value->is_string())
        out = value->get<std::string>();
      else
        fault(name, "must be a string");
    }
  }
  template <class Integer>
  void integer(const char* name, Integer& out) {
    if (const auto* value = take(name)) {
      const bool natural = value->is_number_integer() && *value >= 0;
      if (natural && value->get<std::uint64_t>() <= std::numeric_limits<Integer>::max()) {
        out = value->get<Integer>();
      } else {
        fault(name, "must be an integer in range");
      }
    }
  }
  void real(const char* name, double& out) {
    if (const auto* value = take(name)) {
      if (value->is_number())
        out = value->get<double>();
      else
        fault(name, "must be a number");
    }
  }
  void flag(const char* name, bool& out) {
    if (const auto* value = take(name)) {
      if (value->is_boolean())
        out = value->get<bool>();
      else
        fault(name, "must be true or false");
    }
  }
  void network(const char* name, Network& out) {
    std::string word(to_string(out));
    text(name, word);
    if (auto parsed = parse_network(word))
      out = *parsed;
    else
      fault(name, "must be none, egress or host");
  }
  void ranges(const char* name, std::vector<IpRange>& out) {
    const auto* value = take(name);
    if (value == nullptr) return;
    if (!value->is_array() || value->size() > kMaxEgressRanges)
      return fault(name, "must be an array of at most 64");
    for (const nlohmann::json& each : *value) {
      const auto range = parse_ip_range(each.is_string() ? each.get<std::string>() : std::string());
      if (!range) return fault(name, "must be addresses or ranges");
      out.push_back(*range);
    }
  }
  void hosts(const char* name, std::vector<HostTarget>& out) {
    const auto* value = take(name);
    if (value == nullptr) return;
    if (!value->is_array() || value->size() > kMaxEgressRanges)
      return fault(name, "must be an array of at most 64");
    for (const nlohmann::json& each : *value) {
      const auto host = parse_host_target(each.is_string() ? each.get<std::string>() : std::string());
      if (!host) return fault(name, "must be host names");
      out.push_back(*host);
    }
  }
  Status status() {
    if (!fault_ && taken_ != json_.size()) fault_ = bad("plan", "has an unknown member");
    if (fault_) return *fault_;
    return {};
  }

 private:
  const nlohmann::json* take(const char* name) {
    const auto found = json_.find(name);
    if (found == json_.end()) return nullptr;
    ++taken_;
    return &*found;
  }
  void fault(const char* name, const char* rule) {
    if (!fault_) fault_ = bad(name, rule);
  }

  const nlohmann::json& json_;
  std::size_t taken_ = 0;
  std::optional<std::unexpected<Error>> fault_;
};

template <class Target>
std::vector<std::string> texts(const std::vector<Target>& targets) {
  std::vector<std::string> all;
  all.reserve(targets.size());
  for (const Target& target : targets) all.push_back(to_string(target));
  return all;
}

}  // namespace

Status validate(const SandboxPlan& plan) {
  if (!is_clean_path(plan.bundle_dir)) return bad("bundle_dir", "must be an absolute path below /");
  if (plan.host_uid == 0) return bad("host_uid", "must not be root's");
  if (plan.host_gid == 0) return bad("host_gid", "must not be root's");
  if (plan.memory_bytes < 8 * kMiB || plan.memory_bytes > (1ULL << 44)) {
    return bad("memory_bytes", "must be 8 MiB to 16 TiB");
  }
  if (!std::isfinite(plan.cpus) || plan.cpus < 0.01 || plan.cpus > 1024)
    return bad("cpus", "must be 0.01 to 1024");
  if (plan.max_pids < 1 || plan.max_pids > 100'000) return bad("max_pids", "must be 1 to 100000");
  if (plan.tmp_bytes < std::uint64_t{64} * 1024 || plan.tmp_bytes > (1ULL << 40))
    return bad("tmp_bytes", "must be 64 KiB to 1 TiB");
  if (plan.max_open_files < 32 || plan.max_open_files > 1'000'000) {
    return bad("max_open_files", "must be 32 to 1000000");
  }
  if (!is_hostname(plan.hostname)) return bad("hostname", "must be 1 to 63 letters, digits, dots or hyphens");
  return {};
}

nlohmann::json to_json(const SandboxPlan& plan) {
  return {{"bundle_dir", plan.bundle_dir},
          {"bundle_writable", plan.bundle_writable},
          {"host_uid", plan.host_uid},
          {"host_gid", plan.host_gid},
          {"memory_bytes", plan.memory_bytes},
          {"cpus", plan.cpus},
          {"max_pids", plan.max_pids},
          {"tmp_bytes", plan.tmp_bytes},
          {"max_open_files", plan.max_open_files},
          {"io_bytes_per_second", plan.io_bytes_per_second},
          {"network", to_string(plan.network)},
          {"egress_only", texts(plan.egress.only)},
          {"egress_names", texts(plan.egress.names)},
          {"egress_may_open", texts(plan.egress.may_open)},
          {"hostname", plan.hostname},
          {"may_pause", plan.may_pause}};
}

Result<SandboxPlan> plan_from_json(const nlohmann::json& json) {
  if (!json.is_object()) return bad("plan", "must be an object");
  SandboxPlan plan;
  Reader reader(json);
  reader.text("bundle_dir", plan.bundle_dir);
  reader.flag("bundle_writable", plan.bundle_writable);
  reader.integer("host_uid", plan.host_uid);
  reader.integer("host_gid", plan.host_gid);
  reader.integer("memory_bytes", plan.memory_bytes);
  reader.real("cpus", plan.cpus);
  reader.integer("max_pids", plan.max_pids);
  reader.integer("tmp_bytes", plan.tmp_bytes);
  reader.integer("max_open_files", plan.max_open_files);
  reader.integer("io_bytes_per_second", plan.io_bytes_per_second);
  reader.network("network", plan.network);
  reader.ranges("egress_only", plan.egress.only);
  reader.hosts("egress_names", plan.egress.names);
  reader.ranges("egress_may_open", plan.egress.may_open);
  reader.text("hostname", plan.hostname);
  reader.flag("may_pause", plan.may_pause);
  if (auto status = reader.status(); !status) return std::unexpected(status.error());
  if (auto status = validate(plan); !status) return std::unexpected(status.error());
  return plan;
}

std::string to_string(const SandboxPlan& plan) {
  std::string out;
  const nlohmann::json json = to_json(plan);
  for (const auto& [name, value] : json.items()) {
    out += name;
    out.append(name.size() < 16 ? 16 - name.size() : 1, ' ');
    out += value.is_string() ? value.get<std::string>() : value.dump();
    out += '\n';
  }
  return out;
}

}  // namespace sterna::sandbox
