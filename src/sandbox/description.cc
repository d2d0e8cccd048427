#include "sandbox/description.h"

#include <nlohmann/json.hpp>

#include "sandbox/enter.h"
#include "sandbox/secrets.h"

namespace sterna::sandbox {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kReadOnly = "read-only";
constexpr const char* kReadWrite = "read-write";

Json mounts_of(const SandboxPlan& plan) {
  return Json::array(
      {{{"path", "/"}, {"access", kReadOnly}, {"what", "the system's /usr and chosen files of its /etc"}},
       {{"path", "/function"},
        {"access", plan.bundle_writable ? kReadWrite : kReadOnly},
        {"what", "the function's code"}},
       {{"path", "/tmp"}, {"access", kReadWrite}, {"bytes", plan.tmp_bytes}, {"files", kMaxTmpFiles}},
       {{"path", "/dev/shm"}, {"access", kReadWrite}, {"bytes", kShmBytes}, {"files", kMaxTmpFiles}},
       {{"path", "/dev"}, {"access", kReadOnly}, {"what", "null, zero, full, random, urandom"}},
       {{"path", "/proc"},
        {"access", kReadOnly},
        {"what",
         "its own processes; of the machine: cpuinfo, meminfo, stat, vmstat, loadavg, uptime, version, "
         "filesystems, "
         "cgroups, sys"}},
       {{"path", kSecretsDir}, {"access", kReadOnly}, {"what", "the function's secrets, if it has any"}}});
}

template <class Target>
void add_texts(Json& all, const std::vector<Target>& targets) {
  for (const Target& target : targets) all.push_back(to_string(target));
}

Json network_of(const SandboxPlan& plan) {
  Json network = {{"kind", to_string(plan.network)}};
  if (plan.network != Network::kEgress) return network;
  Json& reaches = network["reaches"] = Json::array();
  add_texts(reaches, plan.egress.names);
  add_texts(reaches, plan.egress.only);
  if (plan.egress.open()) reaches = "public addresses";
  network["names"] =
      plan.egress.names.empty() ? "the machine's resolvers" : "those above only, by the server";
  add_texts(network["private_targets_opened"] = Json::array(), plan.egress.may_open);
  return network;
}

Json enforced_by(const Probe& machine) {
  const CgroupLayout& groups = machine.cgroups;
  return {{"namespaces", machine.namespaces && machine.mounts},
          {"system_call_filter", machine.seccomp},
          {"landlock", machine.landlock},
          {"user_of_its_own", machine.own_users},
          {"cgroups", to_string(groups.version)},
          {"memory", !groups.memory.empty()},
          {"cpus", !groups.cpu.empty()},
          {"cpu_confinement", !groups.cpu.empty() && !groups.cpuset.empty()},
          {"processes", !groups.pids.empty()},
          {"io", !groups.io.empty() && !groups.disks.empty()},
          {"egress_filter", machine.egress}};
}

}  // namespace

Json describe(const SandboxPlan& plan, const Probe& machine) {
  return {{"sandbox", machine.isolation == Isolation::kFull ? "on" : "off"},
          {"mounts", mounts_of(plan)},
          {"limits",
           {{"memory_bytes", plan.memory_bytes},
            {"cpus", plan.cpus},
            {"max_pids", plan.max_pids},
            {"max_open_files", plan.max_open_files},
            {"io_bytes_per_second", plan.io_bytes_per_second},
            {"max_file_bytes", max_file_bytes(plan.tmp_bytes, plan.memory_bytes)},
            {"core_dumps", false}}},
          {"network", network_of(plan)},
          {"enforced", enforced_by(machine)},
          {"missing", machine.warnings}};
}

}  // namespace sterna::sandbox
