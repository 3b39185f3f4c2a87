# SPDX-License-Identifier: Apache-2.0
# What a ROS 2 installed from Python wheels needs and an apt one does not. Both functions do nothing there.

# The generators look packages up in the ament index, which they find through AMENT_PREFIX_PATH. In the
# environment that pip makes for a build nobody has set it. ARGV0: <prefix>/share/ament_cmake/cmake.
function(ros_from_wheels_set_prefix ament_cmake_dir)
  get_filename_component(prefix "${ament_cmake_dir}/../../.." ABSOLUTE)
  set(ENV{AMENT_PREFIX_PATH} "${prefix}")
  message(STATUS "ROS 2 from wheels, ament prefix ${prefix}")
endfunction()

# The wheels' exported targets name include folders of the machine they were built on (/opt/python/...). CMake
# stops at a folder that does not exist. The real ones come with our own Python3 targets, so these are dropped.
function(ros_from_wheels_drop_foreign_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(folders MATCHES "/opt/python/" AND NOT EXISTS "/opt/python")
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "")
    endif()
  endforeach()
endfunction()
